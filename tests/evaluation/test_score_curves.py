from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from atal_ray.errors import DataError
from atal_ray.evaluation import score_curves
from atal_ray.evaluation.score_curves import legend_columns, score_figures, stroke


def metrics(seed: int) -> Any:
    recall = np.linspace(1, 0, 256) ** (1 + seed)
    precision = 1 - 0.6 * recall
    return SimpleNamespace(
        recall=tuple(recall), precision=tuple(precision), f_curve=tuple(np.sin(np.linspace(0, 3, 256 - seed)))
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures instead of files, in the order of the test sets."""
    figures: list[Figure] = []

    def keep(draw, width=9.6, height=2.9):
        figures.append(Figure(figsize=(width, height), layout="constrained"))
        draw(figures[-1])
        return {}

    monkeypatch.setattr(score_curves, "files", keep)
    return figures


def test_every_method_is_drawn_twice_and_named_once(drawn: list[Figure]) -> None:
    results = {"ECSSD": {"_a": metrics(0), "b$": metrics(1)}}
    score_figures(results)
    curves, levels = drawn[0].axes
    for index, found in enumerate(results["ECSSD"].values()):
        np.testing.assert_array_equal(
            curves.get_lines()[index].get_xydata(), np.transpose([found.recall, found.precision])
        )
        np.testing.assert_array_equal(levels.get_lines()[index].get_ydata(), found.f_curve)
        assert levels.get_lines()[index].get_color() == curves.get_lines()[index].get_color()
    assert [text.get_text().strip() for text in drawn[0].legends[0].get_texts()] == ["_a", "b$"]
    assert curves.get_title() == "ECSSD"


def test_a_method_keeps_its_line_where_another_is_missing(drawn: list[Figure]) -> None:
    score_figures({"ECSSD": {"a": metrics(0), "b": metrics(1)}, "HKU-IS": {"b": metrics(1)}, "none": {}})
    assert len(drawn) == 2
    assert drawn[1].axes[0].get_lines()[0].get_color() == stroke(1)["color"]


def test_strokes_of_28_methods_are_distinct() -> None:
    assert len({tuple(stroke(index).values()) for index in range(28)}) == 28


def test_the_legend_of_twenty_methods_lies_inside_the_figure_and_clear_of_the_panels(
    drawn: list[Figure],
) -> None:
    names = [f"a network with a name, {index}" for index in range(20)]
    score_figures({"ECSSD": {name: metrics(0) for name in names}})
    drawn[0].draw_without_rendering()
    legend, whole = drawn[0].legends[0].get_window_extent(), drawn[0].bbox
    assert whole.x0 <= legend.x0 < legend.x1 <= whole.x1
    assert whole.y0 <= legend.y0
    for axes in drawn[0].axes:
        assert axes.get_tightbbox().y0 >= legend.y1
        assert axes.bbox.height > 0.5 * whole.height


def test_long_names_take_fewer_columns() -> None:
    assert [legend_columns([name] * 20) for name in ("F3Net", "x" * 30, "x" * 300)] == [5, 2, 1]


def test_files_are_an_svg_and_a_png_with_equal_bytes_each_time() -> None:
    results = {"ECSSD": {"a": metrics(0), "b": metrics(1)}}
    before = dict(matplotlib.rcParams)
    found = score_figures(results)["ECSSD"]
    assert dict(matplotlib.rcParams) == before
    assert found.keys() == {"svg", "png"}
    root = ElementTree.fromstring(found["svg"])
    assert sum(element.get("id", "").startswith("axes_") for element in root.iter()) == 2
    picture = cv2.imdecode(np.frombuffer(found["png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert (picture[0, 0] == 255).all()  # white, not clear
    assert score_figures(results)["ECSSD"] == found
    assert score_figures({"ECSSD": {"a": metrics(0)}})["ECSSD"] != found


def test_no_result_is_an_error() -> None:
    with pytest.raises(DataError, match="no method was scored"):
        score_figures({"ECSSD": {}})
