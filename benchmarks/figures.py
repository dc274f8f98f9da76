"""Which results are older than their code? Every file of benchmarks/results, with its date, commit and the
command that makes it again.

    python benchmarks/figures.py

A result carries a digest of the modules that its benchmark measures (`MEASURES` in the script). Where it has
none, the modules are compared with what they were at the commit that added the result; renamed files are
followed. Prints a table.
"""

import ast
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from source_digest import ROOT, digest, digest_of, source_files

NO_SCRIPT = "no benchmark of this name"


@dataclass(frozen=True)
class Result:
    """A result file, and whether its figures are those of today's code."""

    name: str
    date: str
    commit: str
    """At which it was measured, or which added it; empty where that is not known."""
    state: str
    command: str


def results(root: Path = ROOT) -> list[Result]:
    """Every result file, by name."""
    return [_result(path, root) for path in sorted((root / "benchmarks/results").glob("*.json"))]


def script_of(name: str, root: Path = ROOT) -> Path | None:
    """The benchmark that writes a result: its name may be followed by that of a device or a store."""
    fitting = [path for path in (root / "benchmarks").glob("*.py") if name.startswith(path.stem)]
    return max(fitting, key=lambda path: len(path.stem), default=None)


def measured_by(script: Path) -> tuple[str, ...]:
    """MEASURES of a benchmark, without importing it."""
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["MEASURES"]:
            return tuple(ast.literal_eval(node.value))
    return ()


def command_of(script: Path) -> str:
    """The command in the head of a benchmark."""
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    found = re.search(r"^(?: {4})?((?:python|make) .*)$", text, re.MULTILINE)
    return found[1] if found else ""


def _result(path: Path, root: Path) -> Result:
    found = json.loads(path.read_text())
    head: dict[str, Any] = found.get("provenance", found)
    script = script_of(path.stem, root)
    commit = head.get("commit") or _added(path, head["date"], root)
    if script is None:
        return Result(path.stem, head["date"], commit or "", NO_SCRIPT, "")
    state = _state(measured_by(script), head.get("code"), commit, root)
    return Result(path.stem, head["date"], commit or "", state, command_of(script))


def _state(modules: tuple[str, ...], measured: str | None, commit: str | None, root: Path) -> str:
    """Whether the measured code is still the same, and how many commits touched its files since."""
    commits: set[str] = set()
    before: list[str] = []
    known = commit is not None and _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None
    for file in source_files(modules, root) if known else ():
        since, former = _history(file, str(commit), root)
        commits |= since
        source = _git(root, "show", f"{commit}:{former}") if former else None
        before += [source] if source is not None else []
    if measured is None and not known:
        return "unknown: no digest, and no commit to compare with"
    if (measured or digest(before)) == digest_of(modules, root):
        return "up to date"
    return (
        f"OLDER than its code by {len(commits)} commit{'s' * (len(commits) > 1)}"
        if known
        else "OLDER than its code"
    )


def _added(path: Path, date: str, root: Path) -> str | None:
    """The last commit of a result on the day of its figures; later ones only edited it."""
    name = str(path.relative_to(root))
    measured = _git(root, "log", "-1", "--format=%H", f"--until={date} 23:59:59", "--", name)
    return measured or (_git(root, "log", "--format=%H", "--", name) or "").split("\n")[-1] or None


def _history(file: Path, since: str, root: Path) -> tuple[set[str], str | None]:
    """The commits that touched a file since another, and its name then; none where it is new."""
    format_ = ("--follow", "--name-status", "--format=commit %H")
    log = _git(root, "log", *format_, f"{since}..HEAD", "--", str(file)) or ""
    commits, name = set(), str(file)
    for line in filter(None, log.splitlines()):
        if line.startswith("commit "):
            commits.add(line.removeprefix("commit "))
            continue
        status, former, *_ = line.split("\t")
        if status == "A":
            return commits, None
        name = former if status.startswith("R") else name
    return commits, name


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; none where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.rstrip("\n")


def main() -> None:
    """Print the table."""
    for row in results():
        print(f"{row.name:20} {row.date}  {row.commit[:9]:9}  {row.state}\n{'':20} {row.command}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
