from types import SimpleNamespace
from typing import Any

import pytest

from atal_ray.errors import ConfigError, DataError
from atal_ray.evaluation.published import methods
from atal_ray.evaluation.score_table import STANDARD, TABLE_2, ScoreRow, ScoreTable, score_table
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.metric_names import METRIC_LABELS

FLAT = dict.fromkeys(METRIC_LABELS, 0.5)


def scores(images: int = 10, **values: Any) -> Any:
    return SimpleNamespace(images=images, **{**FLAT, **values})


def row(table: ScoreTable, test_set: str, source: str, metric: str) -> ScoreRow:
    return next(
        row for row in table.rows if (row.test_set, row.source, row.metric) == (test_set, source, metric)
    )


def places(row: ScoreRow) -> list[int]:
    return [score.place for score in row.cells]


def values(row: ScoreRow) -> list[float | None]:
    return [score.value for score in row.cells]


def test_rows_are_sets_and_metrics_columns_are_methods_by_first_appearance() -> None:
    table = score_table({"b": {"y": scores()}, "a": {"x": scores(), "y": scores(max_f=0.7)}})
    assert table.methods == ("y", "x")
    assert [(row.test_set, row.metric) for row in table.rows] == [
        (name, field) for name in "ba" for field in STANDARD
    ]
    assert values(row(table, "b", "measured", "max_f")) == [0.5, None]
    assert values(row(table, "a", "measured", "max_f")) == [0.7, 0.5]


def test_every_scalar_of_the_metrics_can_be_a_row() -> None:
    fields = [name for name, field in Metrics.__dataclass_fields__.items() if field.type in ("float", float)]
    assert set(METRIC_LABELS) == set(fields)
    assert [row.metric for row in score_table({"a": {"x": scores()}}, tuple(METRIC_LABELS)).rows] == list(
        METRIC_LABELS
    )


@pytest.mark.parametrize(
    ("metric", "given", "expected"),
    [
        ("max_f", [0.7, 0.9, 0.8, 0.6], [0, 1, 2, 0]),
        ("mae", [0.07, 0.09, 0.08, 0.06], [2, 0, 0, 1]),
        ("max_f", [0.9, 0.8, 0.90004, 0.8], [1, 2, 1, 2]),  # equal with four decimals
        ("mae", [0.1, 0.1], [1, 1]),
        ("max_f", [0.9], [0]),  # nothing to compare
    ],
)
def test_the_best_two_are_marked_and_ties_share(metric: str, given: list[float], expected: list[int]) -> None:
    table = score_table(
        {"a": {str(i): scores(10, **{metric: value}) for i, value in enumerate(given)}}, [metric]
    )
    assert places(table.rows[0]) == expected


def test_shares_are_of_one_method_or_of_each_ones_own() -> None:
    results = {
        "a": {
            "F": scores(max_f=0.8),
            "F*": scores(max_f=0.6),
            "M": scores(max_f=0.5),
            "M*": scores(max_f=0.4),
        },
        "b": {"F*": scores(), "M": scores(max_f=0.0), "M*": scores()},
    }
    one = score_table(results, relative_to="F")
    assert values(row(one, "a", "share", "max_f")) == pytest.approx([1, 0.75, 0.625, 0.5])
    assert row(one, "a", "share", "max_f").label == "maxF / F"
    assert values(row(one, "b", "share", "max_f")) == [None] * 4
    own = score_table(results, relative_to={"F*": "F", "M*": "M"})
    assert values(row(own, "a", "share", "max_f")) == [None, pytest.approx(0.75), None, pytest.approx(0.8)]
    assert values(row(own, "b", "share", "max_f")) == [None] * 4
    assert places(row(own, "a", "share", "max_f")) == [0] * 4


def test_published_numbers_stand_under_ours_with_misprints_flagged() -> None:
    results = {
        "DUT-OMRON": {"MINet*10": scores(), "F3Net": scores(), "mine": scores()},
        "other": {"F3Net": scores()},
    }
    table = score_table(results, ("max_f", "f_mean", "mae"), published=True)
    assert [(row.source, row.metric) for row in table.rows[:5]] == [
        ("measured", "max_f"),
        ("paper", "maxF"),
        ("measured", "f_mean"),
        ("measured", "mae"),
        ("paper", "MAE"),
    ]
    assert values(table.rows[1]) == [0.7895, 0.8133, None]
    assert values(table.rows[4]) == [0.0613, 0.0526, None]
    assert places(table.rows[4]) == [2, 1, 0]
    assert [score.misprint for score in table.rows[4].cells] == [True, False, False]
    assert all(row.source == "measured" for row in table.rows if row.test_set == "other")
    assert sum(note.startswith("† MINet*10, MAE on DUT-OMRON: printed .6130") for note in table.notes) == 1
    assert not any("PASCAL-S: its masks" in note for note in table.notes)


def test_the_whole_published_table_can_be_asked_for() -> None:
    table = score_table(
        {"PASCAL-S": {"mine": scores()}}, TABLE_2, methods=("mine", *methods()), published=True
    )
    assert len(table.methods) == 17
    paper = [row for row in table.rows if row.source == "paper"]
    assert [row.metric for row in paper] == ["maxF", "S-m", "MAE", "avgF", "W-F", "E-m"]
    assert all(None not in values(row)[1:] for row in paper)
    assert table.notes[-1].startswith("PASCAL-S: its masks are graded")
    assert sum("of the paper is compared with" in note for note in table.notes) == 6


def test_methods_scored_on_other_images_are_told_apart() -> None:
    table = score_table(
        {
            "HKU-IS": {"x": scores(4447), "y": scores(1447), "z": scores(4447)},
            "a": {"x": scores(1000), "y": scores(1000)},
        }
    )
    assert table.notes == ("Images: HKU-IS 4,447 (x, z), 1,447 (y); a 1,000.",)


def test_what_cannot_be_shown_is_named() -> None:
    results = {"a": {"x": scores()}}
    with pytest.raises(DataError, match="no method was scored"):
        score_table({"a": {}})
    with pytest.raises(ConfigError, match="no metric is called 'maxF': choose from max_f, "):
        score_table(results, ["maxF"])
    with pytest.raises(ConfigError, match="relative to 'full', which was not scored: choose from x"):
        score_table(results, relative_to="full")
    with pytest.raises(ConfigError, match="shares are those of max_f"):
        score_table(results, ["mae"], relative_to="x")
