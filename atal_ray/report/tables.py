"""The tables of the report: plain text cells, ready for the template."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from atal_ray.acquisition.uncertainty import REGION_NAMES
from atal_ray.campaign.campaign_folder import MEMBERS
from atal_ray.errors import counted
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.metric_names import METRIC_LABELS
from atal_ray.metrics.own_sums import label_of
from atal_ray.report.compared import Compared
from atal_ray.report.numbers import Failure, Numbers, Round
from atal_ray.runtime.throughput import Throughput

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
    href: str = ""
    """Where a click on it leads."""


@dataclass(frozen=True)
class Table:
    """A table with a row of group headings above the column headings."""

    title: str
    groups: tuple[tuple[str, int], ...]
    """Group headings with the columns that each one spans."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def answers_table(numbers: Numbers) -> Table:
    """Per round: points an image, the fewest and most that one got, shares of the answers, shares of the
    regions asked in, and errors.
    """
    return Table(
        "Points and answers",
        (("", 3), ("answers of the round", 3), ("where it asked", len(REGION_NAMES)), ("", 1)),
        (
            "round",
            "points an image",
            "new an image",
            "salient",
            "background",
            "unsure",
            *REGION_NAMES,
            "errors",
        ),
        tuple(_answers(numbers, found) for found in numbers.rounds),
    )


def _answers(numbers: Numbers, found: Round) -> tuple[Cell, ...]:
    counts = [found.points.labels[value] for value in (SALIENT, BACKGROUND, UNSURE)]
    regions = [found.regions[name] for name in REGION_NAMES]
    clicks = f"{numbers.clicks(found.number):.4g}" if numbers.points else NOTHING
    texts = [
        str(found.number),
        clicks,
        _span(found),
        *_shares(counts),
        *_shares(regions),
        str(len(found.failures)),
    ]
    return tuple(Cell(text) for text in texts)


def _span(found: Round) -> str:
    """Fewest and most points that an image got in the round."""
    if not found.points.total:
        return NOTHING
    fewest, most = found.points.span
    return str(most) if fewest == most else f"{fewest} to {most}"


def _shares(counts: list[int]) -> list[str]:
    total = sum(counts)
    return [f"{100 * count / total:.1f} %" if total else NOTHING for count in counts]


def metrics_table(numbers: Numbers, test_set: str) -> Table:
    """Per round: every measure of the ensemble and of the last snapshot on a test set; the best of a column
    is marked.
    """
    series = [
        (measure, [measure.of(found.metrics[test_set][member]) for found in numbers.rounds])
        for measure in MEASURES
        for member in MEMBERS
    ]
    best = [
        (max if measure.higher_is_better else min)(values) if len(values) > 1 else None
        for measure, values in series
    ]
    images = numbers.rounds[-1].metrics[test_set]["ensemble"].images
    return Table(
        f"{test_set} ({counted(images, 'image')})",
        (("", 1), *((measure.name, len(MEMBERS)) for measure in MEASURES)),
        ("round", *(MEMBERS * len(MEASURES))),
        tuple(
            (
                Cell(str(row)),
                *(
                    Cell(f"{values[row]:.4f}", values[row] == top)
                    for (_, values), top in zip(series, best, strict=True)
                ),
            )
            for row in range(len(numbers.rounds))
        ),
    )


def all_metrics_table(numbers: Numbers, test_set: str) -> Table:
    """Per round and member: every metric that was measured on a test set."""
    own = list(numbers.rounds[-1].metrics[test_set]["ensemble"].own) if numbers.rounds else []
    columns = [f"{label} {'↑' if higher else '↓'}" for label, higher in METRIC_LABELS.values()]
    columns += map(label_of, own)
    rows = [
        (
            Cell(str(found.number)),
            Cell(member),
            *(Cell(f"{getattr(found.metrics[test_set][member], name):.4f}") for name in METRIC_LABELS),
            *(Cell(f"{found.metrics[test_set][member].own[name]:.4f}") for name in own),
        )
        for found in numbers.rounds
        if test_set in found.metrics
        for member in MEMBERS
    ]
    return Table(test_set, (), ("round", "of", *columns), tuple(rows))


def compared_table(numbers: Numbers, compared: Sequence[Compared], test_set: str) -> Table:
    """The last round beside that of other campaigns, and each one's share of the maxF of full masks."""
    ours = numbers.rounds[-1]
    rows = [("this campaign", _points(numbers, ours.number), ours.metrics[test_set]["ensemble"])]
    for other in compared:
        theirs = other.last(test_set)
        if theirs is not None:
            last = other.numbers.rounds[-1].number
            rows.append((other.label, NOTHING if other.is_dense else _points(other.numbers, last), theirs))
    full = next((other.last(test_set) for other in compared if other.is_dense), None)
    return Table(
        test_set,
        (),
        ("campaign", "points an image", *(measure.name for measure in MEASURES), "maxF of full masks"),
        tuple(
            (
                Cell(label),
                Cell(points),
                *(Cell(f"{measure.of(found):.4f}") for measure in MEASURES),
                Cell(f"{100 * found.max_f / full.max_f:.1f} %" if full and full.max_f else NOTHING),
            )
            for label, points, found in rows
        ),
    )


def _points(numbers: Numbers, number: int) -> str:
    return f"{numbers.clicks(number):.4g}"


def cost_table(numbers: Numbers) -> Table:
    """Per round: passes of networks, seconds that devices were held, and seconds that went by."""
    stages = ("training", "fit", "query", "evaluation")
    rows = [
        (
            str(found.number),
            *(_passes(found.cost.get(stage, {}).get("passes")) for stage in stages[:2]),
            *(_passes(found.cost.get("query", {}).get("passes", {}).get(kind)) for kind in PASSES),
            *(_seconds(found.cost.get(stage, {}).get("device_seconds")) for stage in stages[:3]),
            *(_seconds(found.cost.get(stage, {}).get("wall_seconds")) for stage in stages),
        )
        for found in numbers.rounds
        if found.cost
    ]
    return Table(
        "",
        (("", 1), ("images passed", 2 + len(PASSES)), ("device seconds", 3), ("wall seconds", len(stages))),
        (
            "round",
            "training, forward and back",
            "fit",
            *(f"query, {name}" for name in PASSES.values()),
            *stages[:3],
            *stages,
        ),
        tuple(tuple(Cell(text) for text in row) for row in rows),
    )


PASSES = {"gradient": "with gradient", "plain": "without", "decoder": "decoder alone"}
"""Kinds of passes of a query -> their columns."""


def _passes(count: int | None) -> str:
    return NOTHING if count is None else f"{count:,}"


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.4g}"


def throughput_table(numbers: Numbers) -> Table:
    """Per query: images, images a second in all, actors and how busy they were; and of every stage its speed
    and its share.
    """
    stages = list(dict.fromkeys(stage for _, found in numbers.throughput for stage in found.seconds))
    return Table(
        "",
        (("", 5), *((stage, 2) for stage in stages)),
        (
            "query of",
            "images",
            "images/s",
            "actors",
            "busy",
            *(("images/s a worker", "share of time") * len(stages)),
        ),
        tuple(_throughput(when, found, stages) for when, found in numbers.throughput),
    )


def _throughput(when: str, found: Throughput, stages: list[str]) -> tuple[Cell, ...]:
    texts = [
        when,
        f"{found.images:,}",
        f"{found.images / max(found.elapsed, 1e-9):.3g}",
        str(found.actors),
        f"{100 * found.busy:.0f} %",
    ]
    for stage in stages:
        known = stage in found.seconds
        texts += (
            [f"{found.rate(stage):.3g}", f"{100 * found.share(stage):.1f} %"] if known else [NOTHING, NOTHING]
        )
    return tuple(Cell(text) for text in texts)


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
