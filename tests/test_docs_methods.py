"""The figures of docs/methods.md are those of the result files."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = " ".join((ROOT / "docs/methods.md").read_text().split())
SETS = ("ECSSD", "held-out")


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks/results" / f"{name}.json").read_text())
    return found


def compared() -> list[str]:
    """A row for each arm: maxF, S and MAE on both sets, and how much maxF differs from ATAL's."""
    found = result("methods")
    rows = []
    for arm, seeds in found["seeds"].items():
        cells = [arm if len(seeds) == 3 else f"{arm} ({len(seeds)} seeds)"]
        for name in SETS:
            last = found["figures"][name][arm][-1]
            low, high = last["max_f"]["low"], last["max_f"]["high"]
            cells.append(f"{last['max_f']['mean']:.3f} ({low:.3f} to {high:.3f})")
            cells += [f"{last[figure]['mean']:.3f}" for figure in ("s_measure", "mae")]
            beside = found["against_atal"][name].get(arm)
            cells.append("" if beside is None else difference(beside["max_f"]))
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def difference(beside: dict[str, Any]) -> str:
    text = f"{beside['difference']:+.3f} [{beside['low']:+.3f}, {beside['high']:+.3f}]"
    return f"**{text}**" if beside["decided"] else text


def every() -> list[str]:
    """A row for each method: passes of a round, and device seconds of all three."""
    found = result("every_method")
    assert all(row["equal_on_two_actors"] for row in found["methods"].values())
    assert all(row["points"] == 6 * row["images"] for row in found["methods"].values())
    rows = []
    for method, row in found["methods"].items():
        asked, spent = row["query_passes_of_round"], row["device_seconds"]
        said = ", ".join(f"{count} {name}" for name, count in asked.items() if count) or "none"
        seconds = " + ".join(f"{spent[stage]:.0f}" for stage in ("training", "fit", "query"))
        passes = f"{row['training_passes_of_round']} | {row['fit_passes_of_round'] or ''}"
        rows.append(f"| `{method}` | {passes} | {said} | {seconds} |")
    return rows


@pytest.mark.parametrize("figures", [compared, every])
def test_rows_are_those_of_the_results(figures: Any) -> None:
    for row in figures():
        assert " ".join(row.split()) in PAGE, row
