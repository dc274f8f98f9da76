"""The Dockerfile, as far as it can be checked without Docker."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "cluster" / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction: its word and what follows, continued lines joined."""

    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


def stages() -> dict[str, list[Instruction]]:
    """The instructions of each stage, those of the stage it starts from first."""
    found: dict[str, list[Instruction]] = {}
    for instruction in instructions(DOCKERFILE.read_text()):
        if instruction.word == "FROM":
            source, _, name = instruction.rest.split()
            found[name] = [*found.get(source, []), instruction]
        else:
            found[name].append(instruction)
    return found


def copied(stage: str) -> list[str]:
    return [source for word, rest in stages()[stage] if word == "COPY" for source in rest.split()[:-1]]


def sent() -> list[str]:
    """What .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in lines
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def test_hadolint_has_nothing_to_say():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint, which the extra dev brings")
    done = subprocess.run(
        [hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_instructions_are_read():
    text = "# a\nFROM a AS b\nRUN c \\\n    # d\n    && e\nUSER f\n"
    assert instructions(text) == [("FROM", "a AS b"), ("RUN", "c && e"), ("USER", "f")]


def test_two_targets_on_a_python_that_the_project_takes():
    assert set(stages()) == {"base", "cpu", "gpu"}
    version = re.match(r"python:(\d+)\.(\d+)-slim ", stages()["base"][0].rest)
    assert version is not None
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    lower, upper = (tuple(map(int, bound.split("."))) for bound in re.findall(r"[\d.]+", bounds))
    assert lower <= (int(version[1]), int(version[2])) < upper


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_what_is_copied_is_there_and_is_sent(target):
    assert copied(target) == ["constraints.txt", "pyproject.toml", "atal_ray", "jobs"]
    assert all((ROOT / source).exists() for source in copied(target))
    assert set(sent()) == set(copied(target))


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_dependencies_are_pinned_come_before_the_code_and_leave_no_cache(target):
    steps = [f"{word} {rest}" for word, rest in stages()[target]]
    installs = [at for at, step in enumerate(steps) if "pip install" in step]
    code = steps.index("COPY atal_ray atal_ray")
    assert installs[0] < code < installs[-1]
    for step in (steps[at] for at in installs):
        for command in step.removeprefix("RUN ").split(" && "):
            assert "--no-cache-dir" in command
            assert ("-c constraints.txt" in command) != ("--no-deps" in command)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r"\.\[([\w,]+)\]", " ".join(steps)))
    assert named == {f"{target},jobs"}
    assert set(",".join(named).split(",")) <= set(extras)


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_nobody_is_root_and_nothing_is_fetched_from_an_address(target):
    steps = stages()[target]
    assert [rest for word, rest in steps if word == "USER"] == ["1000"]
    assert steps[-1].word == "USER"
    assert "useradd --create-home --uid 1000 atal" in " ".join(rest for _, rest in steps)
    assert {word for word, _ in steps} <= {"FROM", "LABEL", "RUN", "ENV", "WORKDIR", "COPY", "ARG", "USER"}
    assert "://" not in DOCKERFILE.read_text()


def test_only_the_cpu_target_takes_another_index_and_only_if_told():
    assert ("ARG", 'TORCH_INDEX=""') in stages()["cpu"]
    (first,) = [rest for word, rest in stages()["cpu"] if "TORCH_INDEX" in rest and word == "RUN"]
    assert first.startswith(
        'pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -c constraints.txt torch && '
    )
    assert "index" not in " ".join(rest for _, rest in stages()["gpu"])
