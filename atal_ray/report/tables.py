"""The tables of the report: plain text cells, ready for the template."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import pyarrow.compute as pc

from atal_ray.campaign_folder import MEMBERS
from atal_ray.metrics.accumulator import Metrics
from atal_ray.points import BACKGROUND, SALIENT, UNSURE
from atal_ray.report.numbers import Failure, Numbers, Round
from atal_ray.uncertainty.margin import REGION_NAMES

NOTHING = "–"
MOST_FAILURES = 50


@dataclass(frozen=True)
class Measure:
    """A metric as people write it, and which way is better."""

    name: str
    of: Callable[[Metrics], float]
    higher_is_better: bool


MEASURES = (
    Measure("maxF", attrgetter("max_f"), True),
    Measure("MAE", attrgetter("mae"), False),
    Measure("S-measure", attrgetter("s_measure"), True),
)


@dataclass(frozen=True)
class Cell:
    """One cell; the best of its column is marked."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a row of group headings above the column headings."""

    title: str
    groups: tuple[tuple[str, int], ...]
    """Group headings with the columns that each one spans."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def answers_table(numbers: Numbers) -> Table:
    """Per round: points an image, shares of the answers, shares of the regions asked in, and errors."""
    return Table(
        "Points and answers",
        (("", 2), ("answers of the round", 3), ("where it asked", len(REGION_NAMES)), ("", 1)),
        ("round", "points an image", "salient", "background", "unsure", *REGION_NAMES, "errors"),
        tuple(_answers(numbers, found) for found in numbers.rounds),
    )


def _answers(numbers: Numbers, found: Round) -> tuple[Cell, ...]:
    labels = found.points["label"]
    counts = [pc.sum(pc.equal(labels, value)).as_py() or 0 for value in (SALIENT, BACKGROUND, UNSURE)]
    regions = [found.regions[name] for name in REGION_NAMES]
    clicks = f"{numbers.clicks(found.number):.4g}" if numbers.points.num_rows else NOTHING
    texts = [str(found.number), clicks, *_shares(counts), *_shares(regions), str(len(found.failures))]
    return tuple(Cell(text) for text in texts)


def _shares(counts: list[int]) -> list[str]:
    total = sum(counts)
    return [f"{100 * count / total:.1f} %" if total else NOTHING for count in counts]


def metrics_table(numbers: Numbers, test_set: str) -> Table:
    """Per round: every measure of the ensemble and of the last snapshot on a test set; the best of a column is marked."""
    series = [
        (measure, [measure.of(found.metrics[test_set][member]) for found in numbers.rounds]) for measure in MEASURES for member in MEMBERS
    ]
    best = [(max if measure.higher_is_better else min)(values) if len(values) > 1 else None for measure, values in series]
    images = numbers.rounds[-1].metrics[test_set]["ensemble"].images
    return Table(
        f"{test_set} ({images:,} images)",
        (("", 1), *((measure.name, len(MEMBERS)) for measure in MEASURES)),
        ("round", *(MEMBERS * len(MEASURES))),
        tuple(
            (Cell(str(row)), *(Cell(f"{values[row]:.4f}", values[row] == top) for (_, values), top in zip(series, best, strict=True)))
            for row in range(len(numbers.rounds))
        ),
    )


def failures_table(failures: list[Failure]) -> Table:
    """The first failures, one a row."""
    return Table(
        "",
        (),
        ("when", "stage", "image", "reason"),
        tuple(
            tuple(Cell(text) for text in (failure.when, failure.stage, failure.image_id, failure.reason))
            for failure in failures[:MOST_FAILURES]
        ),
    )
