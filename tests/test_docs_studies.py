"""The figures of docs/studies.md are those of the result file."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks/results/studies.json"
PAGE = " ".join((ROOT / "docs/studies.md").read_text().split())
SETS = ("ECSSD", "held-out")


def studies() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULT.read_text())["studies"]
    return found


def name_of(row: dict[str, Any]) -> str:
    """An arm, and its seeds where not all of them are finished."""
    seeds = len(row["seeds"])
    return row["arm"] if seeds == 3 else f"{row['arm']} ({seeds} seeds)"


def curves() -> list[str]:
    """Of each arm of fig7 maxF on both sets after each round, then S and MAE after the last; full masks have
    one round.
    """
    found = []
    for rounds in studies()["fig7"]["curves"].values():
        cells = [name_of(rounds[-1])]
        for name in SETS:
            figures = [row["figures"][name] for row in rounds]
            cells += [""] * (3 - len(rounds)) + [f"{one['max_f']['mean']:.3f}" for one in figures]
            cells += [f"{figures[-1][figure]['mean']:.3f}" for figure in ("s_measure", "mae")]
        found.append(f"| {' | '.join(cells)} |")
    return found


def components() -> list[str]:
    """Of each arm of table4 maxF with its range, S and MAE on both sets, and passes over images."""
    found = []
    for row in studies()["table4"]["rows"]:
        cells = [name_of(row)]
        for name in SETS:
            figures = row["figures"][name]
            cells.append("{mean:.3f} ({low:.3f} to {high:.3f})".format(**figures["max_f"]))
            cells += [f"{figures[figure]['mean']:.3f}" for figure in ("s_measure", "mae")]
        cells += [f"{row['cost'][name]:,.0f}" for name in ("training_passes", "query_passes")]
        found.append(f"| {' | '.join(cells)} |")
    return found


def claims() -> list[str]:
    """Each claim of the paper, the differences of maxF that it rests on, and what becomes of it."""
    found = []
    for study in studies().values():
        for claim in study["claims"]:
            cells = [f"{claim['where']}: {claim['says']}"]
            for name in SETS:
                apart = claim["differences"][name]
                cells.append(
                    "" if not apart else "{difference:+.3f} [{low:+.3f}, {high:+.3f}]".format(**apart)
                )
            found.append(f"| {' | '.join([*cells, claim['verdict']])} |")
    return found


@pytest.mark.parametrize("figures", [curves, components, claims])
def test_rows_are_those_of_the_results(figures: Any) -> None:
    rows = figures()
    assert rows
    for row in rows:
        assert " ".join(row.split()) in PAGE, row
