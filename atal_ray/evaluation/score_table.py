"""Scores of several methods on several test sets in the layout of the paper's Table 2."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from atal_ray.errors import ConfigError, DataError
from atal_ray.evaluation.published import PASCAL_S, Published, lookup, meaning, printed_as
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.metric_names import METRIC_LABELS

Results = Mapping[str, Mapping[str, Metrics]]
"""Test set -> method -> metrics."""

STANDARD = ("max_f", "f_mean", "weighted_f", "s_measure", "e_mean", "mae")
"""What papers on salient objects report."""
TABLE_2 = ("max_f", "s_measure", "mae", "f_of_mean_pr", "weighted_f", "e_soft")
"""The six of the paper's table, avgF and E-m as what they most likely are (see `published.py`)."""
DIGITS = 4
DAGGER = "†"


@dataclass(frozen=True)
class Score:
    """One cell; place 1 is the best of its row, 2 the second best, 0 the rest."""

    value: float | None
    place: int = 0
    misprint: bool = False


@dataclass(frozen=True)
class ScoreRow:
    """One metric on one test set, a cell for each method."""

    test_set: str
    metric: str
    """The field of `Metrics`, or the paper's name of it."""
    label: str
    source: Literal["measured", "share", "paper"]
    """Of `Results`, as a share of another method's, or printed in the paper."""
    cells: tuple[Score, ...]
    higher_is_better: bool = True
    note: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """What `score_formats` writes as Markdown, LaTeX or CSV."""

    methods: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    """Those of a test set follow each other."""
    notes: tuple[str, ...]


def score_table(
    results: Results,
    metrics: Sequence[str] = STANDARD,
    methods: Sequence[str] | None = None,
    relative_to: str | Mapping[str, str] | None = None,
    published: bool = False,
) -> ScoreTable:
    """Rows are test sets and metrics, columns are methods; numbers that print equal share a mark.

    Args:
        results: in the order of rows and, by first appearance, of columns.
        metrics: fields of `Metrics` that become rows.
        methods: the columns, where not those of the results; one without results has empty cells, and the
            paper's numbers if published.
        relative_to: adds a row with each method's maxF as a share of this method's, or of that of the method
            it is mapped to, such as its own full supervision.
        published: adds a row with the paper's numbers under each metric that has some for a method of this
            name.

    Raises:
        DataError: there is no result.
        ConfigError: an unknown metric or method, or shares without maxF.
    """
    columns = tuple(methods) if methods is not None else methods_of(results)
    references = _references(columns, relative_to)
    _check(results, metrics, columns, references)
    rows: list[ScoreRow] = []
    for test_set, found in results.items():
        for field in metrics:
            label, higher = METRIC_LABELS[field]
            values = [getattr(found[method], field) if method in found else None for method in columns]
            rows.append(ScoreRow(test_set, field, label, "measured", _placed(values, higher), higher))
            if field == "max_f" and references:
                label = f"{label} / {relative_to if isinstance(relative_to, str) else 'full supervision'}"
                rows.append(ScoreRow(test_set, field, label, "share", _shares(found, columns, references)))
            if published:
                rows += _paper_row(test_set, field, columns, higher)
    return ScoreTable(columns, tuple(rows), (_images(results, columns), *_paper_notes(rows)))


def methods_of(results: Results) -> tuple[str, ...]:
    """Every method by first appearance; DataError without any."""
    found = tuple(dict.fromkeys(method for methods in results.values() for method in methods))
    if not found:
        raise DataError("scores: no method was scored on any test set: evaluate first")
    return found


def _references(columns: Sequence[str], relative_to: str | Mapping[str, str] | None) -> Mapping[str, str]:
    """The method that each method is compared with."""
    return dict.fromkeys(columns, relative_to) if isinstance(relative_to, str) else relative_to or {}


def _check(
    results: Results, metrics: Sequence[str], columns: Sequence[str], references: Mapping[str, str]
) -> None:
    scored = methods_of(results)
    for field in metrics:
        if field not in METRIC_LABELS:
            raise ConfigError(
                f"scores: no metric is called {field!r}: choose from {', '.join(METRIC_LABELS)}"
            )
    for method in (*references, *references.values()):
        if method not in {*scored, *columns}:
            raise ConfigError(
                f"scores: relative to {method!r}, which was not scored: choose from {', '.join(scored)}"
            )
    if references and "max_f" not in metrics:
        raise ConfigError("scores: shares are those of max_f: add it to the metrics")


def _placed(
    values: Sequence[float | None], higher_is_better: bool, misprints: Sequence[bool] = ()
) -> tuple[Score, ...]:
    """Cells with the best and the second best number marked, where there is something to compare."""
    printed = [None if value is None else round(value, DIGITS) for value in values]
    present = [value for value in printed if value is not None]
    best = sorted(set(present), reverse=higher_is_better)[:2] if len(present) > 1 else []
    places = [best.index(value) + 1 if value in best else 0 for value in printed]
    flags = misprints or [False] * len(values)
    return tuple(Score(*cell) for cell in zip(values, places, flags, strict=True))


def _shares(
    found: Mapping[str, Metrics], columns: Sequence[str], references: Mapping[str, str]
) -> tuple[Score, ...]:
    """Each method's maxF divided by that of its reference on the same set."""

    def share(method: str) -> float | None:
        if method not in found or references.get(method) not in found:
            return None
        full = found[references[method]].max_f
        return found[method].max_f / full if full else None

    return tuple(Score(share(method)) for method in columns)


def _paper_row(test_set: str, field: str, columns: Sequence[str], higher_is_better: bool) -> list[ScoreRow]:
    """The paper's numbers of a metric, if it has any for these methods."""
    metric = printed_as(field)
    cells = [lookup(test_set, metric, method) if metric else None for method in columns]
    known = [cell for cell in cells if cell is not None]
    if metric is None or not known:
        return []
    values = [None if cell is None else cell.value for cell in cells]
    misprints = [cell is not None and cell.suspect for cell in cells]
    note = "; ".join(_misprint(cell) for cell in known if cell.suspect)
    return [
        ScoreRow(
            test_set,
            metric,
            f"{metric}, paper",
            "paper",
            _placed(values, higher_is_better, misprints),
            higher_is_better,
            note,
        )
    ]


def _misprint(cell: Published) -> str:
    return f"{cell.method}, {cell.metric} on {cell.test_set}: printed {cell.printed}, {cell.note}"


def _paper_notes(rows: Sequence[ScoreRow]) -> list[str]:
    """What a reader has to know of the paper's numbers in these rows: misprints, meanings, masks."""
    paper = [row for row in rows if row.source == "paper"]
    notes = [f"{DAGGER} {row.note}." for row in paper if row.note]
    notes += [meaning(metric) for metric in dict.fromkeys(row.metric for row in paper)]
    return [*notes, f"{PASCAL_S}."] if any(row.test_set == "PASCAL-S" for row in paper) else notes


def _images(results: Results, columns: Sequence[str]) -> str:
    """How many images each set's scores are means of, with the methods' names where their numbers differ."""
    parts = []
    for test_set, found in results.items():
        counts: dict[int, list[str]] = {}
        for method in columns:
            if method in found:
                counts.setdefault(found[method].images, []).append(method)
        texts = [
            f"{count:,}" + (f" ({', '.join(names)})" if len(counts) > 1 else "")
            for count, names in counts.items()
        ]
        parts.append(f"{test_set} {', '.join(texts) or 'none'}")
    return f"Images: {'; '.join(parts)}."
