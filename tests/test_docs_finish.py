"""The figures of docs/finish.md are those of the result file."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks/results/finish.json"
PAGE = " ".join((ROOT / "docs/finish.md").read_text().split())
SETS = ("ECSSD", "held-out")


def rows() -> list[str]:
    """A row for each network: seeds, maxF, S and MAE on both sets, its share of full masks in maxF and S, the
    difference of maxF to the row that it is compared with, and the share of wrong pixels of its targets.
    """
    found: dict[str, Any] = json.loads(RESULT.read_text())["rows"]
    return [line(name, row) for name, row in found.items()]


def line(name: str, row: dict[str, Any]) -> str:
    cells = [name, str(len(row["seeds"]))]
    for test_set in SETS:
        figures = row["figures"][test_set]
        shares = [figures[f"{figure}_of_full"]["mean"] for figure in ("max_f", "s_measure")]
        cells += [f"{figures[figure]['mean']:.3f}" for figure in ("max_f", "s_measure", "mae")]
        cells.append(" / ".join(f"{share:.1%}" for share in shares))
        apart = (row["difference"] or {}).get(test_set)
        cells.append(difference(apart["max_f"]) if apart else "")
    cells.append("" if row["wrong"] is None else f"{row['wrong']['mean']:.1%}")
    return f"| {' | '.join(cells)} |"


def difference(beside: dict[str, Any]) -> str:
    text = f"{beside['difference']:+.3f} [{beside['low']:+.3f}, {beside['high']:+.3f}]"
    return f"**{text}**" if beside["decided"] else text


@pytest.mark.parametrize("row", rows() if RESULT.exists() else [])
def test_a_row_is_that_of_the_results(row: str) -> None:
    assert " ".join(row.split()) in PAGE
