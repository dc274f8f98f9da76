"""Every benchmark starts, and a result that is older than the code it measures is found."""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from figures import command_of, measured_by, results, script_of
from machine import provenance
from source_digest import digest, digest_of, source_files

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))
RESULTS = sorted((ROOT / "benchmarks/results").glob("*.json"))
Checkout = tuple[Path, Callable[[], None]]
CODE = """
from atal_ray.old import f


def g(x):
    'Twice.'
    return 2 * f(x)  # why
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_benchmark_starts(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    if 'if __name__ == "__main__":' not in script.read_text():
        assert runpy.run_path(str(script))
        return
    with pytest.raises(SystemExit, match=r"^0$"):
        runpy.run_path(str(script), run_name="__main__")
    assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_result_has_a_benchmark_that_says_what_it_measures(path: Path) -> None:
    script = script_of(path.stem)
    assert script is not None
    assert source_files(measured_by(script))
    assert script.name in command_of(script) or command_of(script).startswith("make ")
    assert "head = provenance(MEASURES" in script.read_text()
    assert '"/' not in path.read_text(), "a path of the machine it was made on"


def test_provenance_names_what_was_measured() -> None:
    head = provenance(("atal_ray.metrics.mae",), rivals=("pytest",))
    assert head["code"] == digest_of(("atal_ray.metrics.mae",))
    assert head["measures"] == ["atal_ray.metrics.mae"]
    assert head["rivals"] == {"pytest": pytest.__version__}
    assert head["memory_gib"] > 0
    assert head["load_average_before"] >= 0


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Twice", "Two times", True),
        ("# why", "# because", True),
        ("def g(x):", "def g(\n    x,\n):", True),
        ("atal_ray.old", "atal_ray.fresh.place", True),
        ("2 *", "3 *", False),
        ("import f", "import f as f, h", False),
    ],
)
def test_digest_is_of_code_not_of_words(old: str, new: str, same: bool) -> None:
    changed = CODE.replace(old, new, 1)
    assert changed != CODE
    assert (digest([changed]) == digest([CODE])) is same


def test_digest_does_not_depend_on_the_order_of_files() -> None:
    assert digest(["a = 1", "b = 2"]) == digest(["b = 2", "a = 1"]) != digest(["a = 1"])


def test_module_that_is_gone_is_named() -> None:
    with pytest.raises(LookupError, match=r"no module atal_ray\.nowhere"):
        source_files(("atal_ray.nowhere",))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository with one measured module, its benchmark, and a result without a digest."""

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    def commit() -> None:
        git("add", "--all")
        git("commit", "-q", "-m", "step")

    (tmp_path / "atal_ray").mkdir()
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "atal_ray/old.py").write_text(CODE)
    write_benchmark(tmp_path, "atal_ray.old")
    (tmp_path / "benchmarks/results/speed_cpu.json").write_text(json.dumps({"date": "2999-01-01"}))
    git("init", "-q")
    commit()
    return tmp_path, commit


def write_benchmark(root: Path, module: str) -> None:
    head = '"""How fast?\n\n    python benchmarks/speed.py --train DUTS-TR\n"""\n'
    (root / "benchmarks/speed.py").write_text(f'{head}MEASURES = ("{module}",)\n')


def state(root: Path) -> str:
    (row,) = results(root)
    assert row.command == "python benchmarks/speed.py --train DUTS-TR"
    return row.state


def test_old_result_is_compared_with_the_code_of_its_commit(checkout: Checkout) -> None:
    root, commit = checkout
    assert state(root) == "up to date"
    (root / "atal_ray/old.py").rename(root / "atal_ray/new.py")
    write_benchmark(root, "atal_ray.new")
    commit()
    assert state(root) == "up to date"  # moved, not changed
    (root / "atal_ray/new.py").write_text(CODE.replace("2 *", "3 *"))
    commit()
    assert state(root) == "OLDER than its code by 2 commits"  # that which moved the file is one of them


def test_result_with_a_digest_is_compared_with_it(checkout: Checkout) -> None:
    root, _ = checkout
    result = root / "benchmarks/results/speed_cpu.json"
    head = {"date": "2026-01-01", "commit": None, "code": digest([CODE])}
    result.write_text(json.dumps({"provenance": head}))
    assert state(root) == "up to date"
    (root / "atal_ray/old.py").write_text(CODE.replace("2 *", "3 *"))
    assert state(root).startswith("OLDER than its code")
