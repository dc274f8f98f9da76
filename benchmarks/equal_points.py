"""Does a change of the code keep every point? Digests of five campaigns and a sweep, to compare two commits.

    python benchmarks/equal_points.py /path/to/DUTS-TR /path/to/ECSSD resnet50.pth --out runs/equal
    git worktree add /tmp/before COMMIT
    PYTHONPATH=/tmp/before python benchmarks/equal_points.py ... --out runs/before   # that commit's package

The last bits of trained weights depend on the processor and on the number of threads, so both calls belong
on one machine. A digest covers the rows of the questions and of the points and the metrics of every round:
equal digests mean equal campaigns, bit for bit. Prints a line for each campaign and writes OUT/digests.txt.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import tyro

CLI = [sys.executable, "-c", "from atal_ray.cli import main; main()"]
TABLES = ("queries.parquet", "points.parquet")


def campaigns(train: str, test: str, weights: str) -> dict[str, list[str]]:
    """The command of each campaign, behind `atal run PRESET FOLDER`."""
    real = ["--data.train", train, "--data.tests", test, "--data.limit", "24", "--data.test-limit", "12"]
    real += ["--train.size", "96", "--train.scales", "96", "128"]
    real += ["--train.epochs", "3", "--train.threads", "1", "--query.threads", "1", "--query.shard-size", "5"]
    small = ["--network.name", "f3net-small"]
    return {
        "demo": ["demo"],
        "f3net-resnet50": ["cpu-small", *real, "--network.weights", weights, "--network.stride-on", "1x1"],
        "dataset-scope": ["cpu-small", *real, *small, "--query.scope", "dataset", "--query.floor", "1"],
        "uncertainty": ["cpu-small", *real, *small, "--query.strategy", "top"],
        "random": ["cpu-small", *real, *small, "--query.strategy", "random"],
    }


def digest(folder: Path) -> str:
    """SHA-256 of every table's rows and every metrics.json below a folder, in the order of their paths."""
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.name in (*TABLES, "metrics.json")):
        found.update(str(file.relative_to(folder)).encode())
        if file.suffix == ".json":
            found.update(file.read_bytes())
        else:
            found.update(repr(pq.read_table(file).to_pylist()).encode())
    return found.hexdigest()


def main(
    train: tyro.conf.Positional[str],
    test: tyro.conf.Positional[str],
    weights: tyro.conf.Positional[str],
    out: Path = Path("runs/equal"),
    extra: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> None:
    """Run every campaign and the sweep, or `only` some, and print their digests; `extra` is appended to every
    command.
    """
    lines = []
    commands = {
        name: ["run", options[0], str(out / name), *options[1:]]
        for name, options in campaigns(train, test, weights).items()
    }
    small = campaigns(train, test, weights)["random"][1:-2]
    axes = ["--over", "query.top-percent=3,10", "attack.steps=2,5"]
    commands["sweep"] = ["sweep", "cpu-small", str(out / "sweep"), *axes, *small, "--budget.total", "4"]
    for name, command in commands.items():
        if only and name not in only:
            continue
        subprocess.run([*CLI, *command, *extra], check=True)
        lines.append(f"{name:16} {digest(out / name)}")
        print(lines[-1], flush=True)
    (out / "digests.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
