"""How long a round on Ray takes before it works: start-up and work of a round, of two commits side by side.

    git worktree add /tmp/before COMMIT
    python benchmarks/round_start.py --train /path/to/DUTS-TR --test /path/to/ECSSD --weights resnet50.pth \
        --before /tmp/before --folder /tmp/round-start

A round trains, evaluates and asks, on a local Ray; its seconds are those between its points and its
questions. They are measured of the first round and of the second one, at two numbers of images; what is left
at none, on the line through both, is the start-up. The commits take turns. Writes
benchmarks/results/round_start.json.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from machine import provenance

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "round_start.json"
MEASURES = ("atal_ray.campaign", "atal_ray.runtime", "atal_ray.inference", "atal_ray.training")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR."""
    test: Path
    """A test set, of which as many images are evaluated."""
    weights: Path
    """ImageNet weights of a ResNet-50 that strides on its 1x1 convolutions."""
    before: Path
    """Checkout of the commit to compare with."""
    folder: Path
    """Where the campaigns go."""
    sizes: tuple[int, int] = (12, 60)
    side: int = 96
    turns: int = 3


def seconds_of_rounds(code: Path, images: int, folder: Path, options: Options) -> list[float]:
    """Run a campaign; the seconds of round 0 and of round 1."""
    shutil.rmtree(folder, ignore_errors=True)
    line = [
        *("run", "cpu-small", str(folder), "--data.train", str(options.train)),
        *("--data.tests", str(options.test), "--data.limit", str(images), "--data.test-limit", str(images)),
        *("--network.weights", str(options.weights), "--network.stride-on", "1x1"),
        *("--train.size", str(options.side), "--train.scales", str(options.side), "--train.epochs", "3"),
        *("--budget.total", "6", "--resources.object-store-mib", "256"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(code), "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", "from atal_ray.cli import main; main()", *line]
    with folder.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        end = folder / "round-01" / "queries.parquet"
        while not end.exists():
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            if not end.exists():
                raise RuntimeError(f"the campaign failed: see {log.name}")
        process.terminate()  # the rest of the campaign is of no account
        process.wait()
    return [written(folder, number, "queries") - written(folder, number, "points") for number in range(2)]


def written(folder: Path, number: int, name: str) -> float:
    """When a table of a round was written."""
    return (folder / f"round-{number:02d}" / f"{name}.parquet").stat().st_mtime


def split(seconds: dict[int, list[float]]) -> dict[str, Any]:
    """Start-up, and seconds of work for the larger number of images, of the line through the medians."""
    (few, first), (many, second) = ((count, statistics.median(found)) for count, found in seconds.items())
    each = (second - first) / (many - few)
    return {
        "seconds": {str(count): [round(one, 2) for one in found] for count, found in seconds.items()},
        "start_up_seconds": round(first - few * each, 2),
        "work_seconds": round(many * each, 2),
    }


def main(options: Options) -> None:
    """Measure both commits in turns."""
    head = provenance(MEASURES)
    options.folder.mkdir(parents=True, exist_ok=True)
    codes = {"before": options.before.resolve(), "now": ROOT}
    found: dict[tuple[str, int], dict[int, list[float]]] = {
        (name, number): {size: [] for size in options.sizes} for name in codes for number in range(2)
    }
    for turn in range(options.turns):
        for size in options.sizes:
            for name, code in codes.items():
                both = seconds_of_rounds(code, size, options.folder / name, options)
                for number, seconds in enumerate(both):
                    found[name, number][size].append(seconds)
                said = ", ".join(f"{seconds:.1f} s" for seconds in both)
                print(f"turn {turn + 1}, {size} images, {name}: {said}", flush=True)
    commit = subprocess.run(
        ["git", "-C", str(options.before), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = {
        "provenance": head,
        "before_commit": commit.stdout.strip(),
        "side": options.side,
        "images": options.sizes[1],
    }
    for number, title in enumerate(("first_round", "second_round")):
        parts = {name: split(found[name, number]) for name in codes}
        share = parts["now"]["start_up_seconds"] / parts["before"]["start_up_seconds"]
        result[title] = {**parts, "share": round(share, 3)}
        print(f"{title}: {share:.0%} of the start-up, {parts}")
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
