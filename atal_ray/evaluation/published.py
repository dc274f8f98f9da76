"""The scores that the paper prints in its Table 2, and which of our metrics each one stands for."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

TABLE = "published.csv"

Group = Literal["full", "weak", "ours"]


@dataclass(frozen=True)
class Published:
    """One cell of Table 2.

    Sets have their official names: the table's "DUTS-O" is DUT-OMRON. Methods are spelled as in the table,
    whose "ENDS" is the text's EDNS; "F3Net*10" is F3Net trained on ten points an image.
    """

    test_set: str
    metric: str
    """As printed: maxF, S-m, MAE, avgF, W-F or E-m."""
    method: str
    group: Group
    """Trained on full masks, on weak labels, or on the paper's points."""
    value: float
    """What is meant, in (0, 1)."""
    printed: str
    """What stands in the paper."""
    suspect: bool
    """A misprint: `printed` is not `value`."""
    note: str


@dataclass(frozen=True)
class Counterpart:
    """Which field of `Metrics` a printed metric is compared with."""

    fields: tuple[str, ...]
    """Every field that it may be, the likeliest first: that one is printed beside it."""
    certainty: Literal["established", "inferred", "unresolved"]
    why: str


COUNTERPARTS = {
    "maxF": Counterpart(
        ("max_f",),
        "established",
        "the classic maximum, of the F-measures of mean precision and mean recall (beta^2 = 0.3)",
    ),
    "S-m": Counterpart(
        ("s_measure",), "established", "F3Net's equals that of its published maps on every set but PASCAL-S"
    ),
    "MAE": Counterpart(
        ("mae",), "established", "F3Net's equals that of its published maps on every set but PASCAL-S"
    ),
    "avgF": Counterpart(
        ("f_of_mean_pr", "f_mean"),
        "unresolved",
        "F of mean precision and mean recall at the adaptive threshold, or the mean of an F curve; "
        "not the mean adaptive F: that of F3Net on DUTS-TE is .840, printed is .8647",
    ),
    "W-F": Counterpart(
        ("weighted_f",),
        "unresolved",
        "differs from the scores that other papers give the same maps, and not by a constant: no target",
    ),
    "E-m": Counterpart(
        ("e_soft",),
        "inferred",
        "too low for the adaptive, mean and maximum E-measure; fits the measure of maps without a threshold, "
        "which rewards binary maps: no target",
    ),
}
"""By the printed name of the metric."""

PASCAL_S = (
    "PASCAL-S: its masks are graded, and the paper's scores fit masks that are salient from 0.1 on "
    "(inferred); other publications cut them at a half, so compare only what was scored with a mask "
    "threshold of 0.1"
)
"""How the paper's PASCAL-S columns have to be read."""


@cache
def load() -> tuple[Published, ...]:
    """All cells of Table 2 in the order of the paper; a test compares the packaged file with the paper."""
    lines = (files("atal_ray.evaluation") / TABLE).read_text(encoding="utf-8").splitlines()
    return tuple(_cell(row) for row in csv.DictReader(lines))


def _cell(row: dict[str, str]) -> Published:
    return Published(
        test_set=row["set"],
        metric=row["metric"],
        method=row["method"],
        group=cast("Group", row["group"]),
        value=float(row["value"]),
        printed=row["printed"],
        suspect=row["suspect"] == "yes",
        note=row["note"],
    )


def lookup(test_set: str, metric: str, method: str) -> Published | None:
    """The cell of a set, a metric as printed and a method as printed; None where the table has none."""
    return _cells().get((test_set, metric, method))


@cache
def _cells() -> dict[tuple[str, str, str], Published]:
    return {(cell.test_set, cell.metric, cell.method): cell for cell in load()}


def printed_as(field: str) -> str | None:
    """The printed metric that a field of `Metrics` is compared with, if any."""
    return next(
        (printed for printed, counterpart in COUNTERPARTS.items() if counterpart.fields[0] == field), None
    )


def methods() -> tuple[str, ...]:
    """The sixteen methods in the order of the table's columns."""
    return tuple(dict.fromkeys(cell.method for cell in load()))


def meaning(metric: str) -> str:
    """A sentence on what a printed metric is compared with and how sure that is."""
    counterpart = COUNTERPARTS[metric]
    fields = " or ".join(counterpart.fields)
    return f"{metric} of the paper is compared with {fields} ({counterpart.certainty}): {counterpart.why}."
