"""The README's promises that a machine can check."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def listed(top: str) -> set[str]:
    """The folders under `top` that the README's tree names at the start of a line."""
    tree = README.partition(f"    {top}/ ")[2].partition("\n\n")[0]
    return set(re.findall(r"^ {6}([a-z]+)/ ", tree, re.MULTILINE))


def test_every_folder_has_its_line() -> None:
    present = {path.parent.name for path in (ROOT / "atal_ray").glob("*/__init__.py")}
    assert listed("atal_ray") == present
    top = set(re.findall(r"^ {4}([a-z_]+)/ ", README, re.MULTILINE))
    assert top == {"atal_ray", "docs", "examples", "jobs", "cluster", "benchmarks", "tests"}
    assert all((ROOT / name).is_dir() for name in top)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_every_link_leads_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "cluster").glob("*.md"),
    ]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_figures_come_from_the_result_file() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "learning_check.json").read_text())
    scores = {(run["method"], run["seed"], run["points"]): run["ensemble"]["max_f"] for run in result["runs"]}
    for name, method in (("ATAL", "atal"), ("random points", "random")):
        (row,) = re.findall(rf"^\| {name} \|(.*)\|$", README, re.MULTILINE)
        expected = [
            " / ".join(f"{scores[method, seed, points]:.3f}" for seed in (0, 1)) for points in (2, 4, 6)
        ]
        shares = " / ".join(
            f"{100 * scores[method, seed, 6] / scores['full masks', seed, None]:.1f} %" for seed in (0, 1)
        )
        assert [cell.strip() for cell in row.split("|")] == [*expected, shares]
    assert " / ".join(f"{scores['full masks', seed, None]:.3f}" for seed in (0, 1)) in README
    assert f"on {result['images']} images of DUTS-TR at {result['size']} px" in README


def test_learning_check_shows_mae_and_what_no_training_gives() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "learning_check.json").read_text())
    runs = {(run["method"], run["seed"], run["points"]): run["ensemble"] for run in result["runs"]}
    for name, method in (("ATAL", "atal"), ("random points", "random")):
        (row,) = re.findall(rf"^\| {name}, MAE \|(.*)\| \|$", README, re.MULTILINE)
        expected = [" / ".join(f"{runs[method, seed, n]['mae']:.3f}" for seed in (0, 1)) for n in (2, 4, 6)]
        assert [cell.strip() for cell in row.split("|")] == expected
    untrained = result["reference"]["max_f"]
    full = [runs["full masks", seed, None]["max_f"] for seed in (0, 1)]
    shares = " / ".join(f"{100 * untrained / value:.1f} %" for value in full)
    assert f"| a centred Gaussian, untrained | | | {untrained:.3f} (none) | {shares} |" in README
    for seed in (0, 1):  # what the text says
        atal, random = runs["atal", seed, 6], runs["random", seed, 6]
        assert atal["max_f"] > random["max_f"]
        assert atal["mae"] > random["mae"]
        assert runs["atal", seed, 2]["max_f"] < untrained < runs["atal", seed, 4]["max_f"]
        assert untrained < min(runs["random", seed, 4]["max_f"], runs["random", seed, 6]["max_f"])


def test_speed_and_memory_of_the_evaluation_come_from_their_files() -> None:
    page = " ".join((ROOT / "docs/evaluation.md").read_text().split())
    speed = json.loads((ROOT / "benchmarks/results/metrics_speed.json").read_text())["sizes"]
    square, wide = speed["352x352"], speed["300x400"]
    assert f"take {square['ms']['ours']:.1f} ms at 352x352 and {wide['ms']['ours']:.1f} ms at 300x400" in page
    assert f"takes {square['ratio']:.1f} times and {wide['ratio']:.1f} times as long" in page
    assert all(size["ms"]["distance transform"] > size["ms"]["ours"] / 3 for size in speed.values())
    first, *_, last = json.loads((ROOT / "benchmarks/results/evaluation_memory.json").read_text())["runs"]
    peaks = f"the driver's peak goes from {first['driver_mib']:.0f} to {last['driver_mib']:.0f} MiB"
    assert f"from {first['pairs']} to {last['pairs']:,} pairs {peaks}" in page


def test_commands_name_real_fields_and_targets() -> None:
    from dataclasses import fields, is_dataclass

    from atal_ray.config import Config

    def paths(section: type, prefix: str) -> set[str]:
        found = set()
        for field in fields(section):
            name = f"{prefix}{field.name.replace('_', '-')}"
            found |= (
                paths(field.type, f"{name}.")
                if isinstance(field.type, type) and is_dataclass(field.type)
                else {name}
            )
        return found

    known = paths(Config, "--")
    assert set(re.findall(r"--[a-z]+\.[a-z-]+", README)) <= known
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.MULTILINE)) <= targets
