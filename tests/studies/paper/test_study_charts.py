"""Charts: where values lie, what is a line alone, and what a curve says on hover."""

import pytest

from atal_ray.studies.paper.study_charts import GREY, MOST_MARKS, TOP, charts_of, line_chart


def value(mean: float, apart: float = 0.0) -> dict[str, float]:
    return {"mean": mean, "low": mean - apart, "high": mean + apart}


def test_the_highest_value_is_at_the_top_and_says_itself_on_hover() -> None:
    chart = line_chart("t", "clicks an image", {"a": [(2, value(0.5, 0.1)), (10, value(0.9))]}, {"full": 1.0})
    assert chart is not None
    curve, full = chart.curves
    assert [mark.title for mark in curve.marks] == [
        "a, 2 clicks: 0.5000 (0.4000 to 0.6000)",
        "a, 10 clicks: 0.9000 (0.9000 to 0.9000)",
    ]
    assert full.colour == GREY
    assert TOP < full.marks[0].y < curve.marks[1].y < curve.marks[0].y
    assert len(curve.band.split()) == 4
    assert [text for _, text in chart.ticks_x] == ["2", "10"]


def test_a_long_curve_has_no_marks_and_few_ticks() -> None:
    chart = line_chart("t", "epochs", {"a": [(at / 2, value(at)) for at in range(2 * MOST_MARKS)]})
    assert chart is not None
    assert chart.curves[0].marks == ()
    assert len(chart.ticks_x) <= 11


def test_without_values_there_is_no_chart() -> None:
    assert line_chart("t", "x", {"a": []}) is None
    row = {"clicks": 2, "figures": {}}
    assert charts_of({"sets": ["test"], "curves": {"a": [row]}}) == []


@pytest.mark.parametrize("kind", ["loss", "delta", "rate"])
def test_training_is_drawn(kind: str) -> None:
    one = {"loss": [[1, value(2.0)]], "delta": [[2, value(0.1)]], "rate": [[0.5, 0.1], [1.0, 0.2]]}
    charts = charts_of({"sets": [], "training": {"a": one}})
    assert len(charts) == 3
    assert len(charts_of({"sets": [], "training": {"a": {**one, kind: []}}})) == 2
