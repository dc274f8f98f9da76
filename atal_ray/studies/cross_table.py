"""The table of a cross validation: a row for whose points, a column for which network was trained on them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from atal_ray.campaign.campaign_folder import MEMBERS
from atal_ray.evaluation.score_formats import markdown_row

FULL = "full"
"""Written instead of a network where the labels are full masks."""
Scores = dict[tuple[str, str], Mapping[str, Any]]
"""(points, network) -> test set -> ensemble or last -> metrics."""
NOT_YET = "–"


def to_json(networks: Sequence[str], recipe: str, scores: Scores) -> dict[str, Any]:
    """Every maxF that is known so far, and its share of the same network's full supervision.

    Args:
        networks: the order of rows and columns.
        recipe: how full supervision was trained.
        scores: the metrics of each finished training.
    """
    sets = sorted({name for found in scores.values() for name in found})
    return {
        "networks": list(networks),
        "full_supervision": recipe,
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "versions": {package: version(package) for package in ("atal-ray", "torch", "ray")},
        "sets": {
            name: {member: _table(networks, scores, name, member) for member in MEMBERS} for name in sets
        },
    }


def _table(networks: Sequence[str], scores: Scores, name: str, member: str) -> dict[str, Any]:
    found = {pair: float(sets[name][member]["max_f"]) for pair, sets in scores.items() if name in sets}
    full = {network: found.get((FULL, network)) for network in networks}
    cells = {
        points: {
            network: _cell(found.get((points, network)), full[network])
            for network in networks
            if (points, network) in found
        }
        for points in networks
    }
    return {"full": full, "cells": cells}


def _cell(max_f: float | None, full: float | None) -> dict[str, float | None]:
    return {"max_f": max_f, "of_full": max_f / full if max_f is not None and full else None}


def to_markdown(table: Mapping[str, Any]) -> str:
    """One table for each test set and each of last snapshot and ensemble; a row is whose points, a column
    what is trained on them.
    """
    networks = table["networks"]
    lines = [
        "# Points of one network, training of another",
        "",
        "Rows: the network that selected the points. Columns: the network that was trained on them. A cell: "
        "classic maxF, and what it",
        f"is of the same network's full supervision ({table['full_supervision']} recipe).",
    ]
    if table["full_supervision"] == "published":
        lines.append(
            "The published recipes leave one snapshot: an ensemble is compared with a single network there."
        )
    for name, members in table["sets"].items():
        for member, found in members.items():
            lines += ["", f"## {name}, {'last snapshot' if member == 'last' else 'snapshot ensemble'}", ""]
            lines += [markdown_row(["points of", *networks]), markdown_row(["---"] * (len(networks) + 1))]
            for points in networks:
                lines.append(
                    markdown_row(
                        [points, *(_text(found["cells"][points].get(network)) for network in networks)]
                    )
                )
            lines.append(
                markdown_row(
                    [
                        "full masks",
                        *(_text({"max_f": found["full"][network], "of_full": None}) for network in networks),
                    ]
                )
            )
    return "\n".join(lines) + "\n"


def _text(cell: Mapping[str, float | None] | None) -> str:
    if cell is None or cell["max_f"] is None:
        return NOT_YET
    return f"{cell['max_f']:.4f}" + ("" if cell["of_full"] is None else f" ({cell['of_full']:.1%})")
