from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.report import curves
from atal_ray.report.numbers import read_numbers
from atal_ray.report.point_counts import density

Make = Callable[..., tuple[CampaignFolder, Config]]


def text_of(address: str) -> str:
    """The source of a chart."""
    return b64decode(address.removeprefix("data:image/svg+xml;base64,")).decode()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure that the next chart is drawn on."""
    figure = Figure()
    monkeypatch.setattr(curves, "chart", lambda draw, **size: draw(figure))
    return figure


def test_precision_over_recall_is_of_the_last_round(make: Make, drawn: Figure) -> None:
    numbers = read_numbers(*make(tests=("a", "b")))
    curves.pr_curves(numbers)
    assert [axes.get_title(loc="center") for axes in drawn.axes] == ["a", "b"]
    for axes in drawn.axes:
        name = axes.get_title(loc="center")
        first, last = (found.metrics[name] for found in numbers.rounds)
        for line, member in zip(axes.get_lines(), ("ensemble", "last"), strict=True):
            assert line.get_label() == member
            assert (
                np.asarray(line.get_xdata()).tolist()
                == list(last[member].recall)
                != list(last[member].precision)
            )
            assert (
                np.asarray(line.get_ydata()).tolist()
                == list(last[member].precision)
                != list(first[member].precision)
            )
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("recall", "precision")


def test_positions_of_the_start_are_apart_from_those_asked(make: Make, drawn: Figure) -> None:
    numbers = read_numbers(*make())
    curves.positions_chart(numbers)
    pictures = [axes.get_images()[0] for axes in drawn.axes[:2]]  # the last one is the scale
    assert len(drawn.axes) == 3
    for picture, found in zip(pictures, numbers.rounds, strict=True):
        np.testing.assert_array_equal(np.asarray(picture.get_array()), density([found.points.cells]))
        assert picture.get_extent() == [0, 1, 1, 0]  # the first row is at the top
    assert pictures[0].get_clim() == pictures[1].get_clim()


def test_one_round_draws_no_key_and_one_position_panel(make: Make, drawn: Figure) -> None:
    campaign, config = make(rounds=1)
    numbers = read_numbers(campaign, config)
    curves.training_curves(numbers, config.train)
    assert len(drawn.axes) == 3
    drawn.clear()
    curves.positions_chart(numbers)
    assert len(drawn.axes) == 2


def test_names_are_no_formulas_and_the_style_stays_in_the_chart(make: Make) -> None:
    numbers = read_numbers(*make(tests=("$a", "b^{")))
    before = dict(matplotlib.rcParams)
    found = text_of(curves.pr_curves(numbers))
    assert "$a" in found
    assert "b^{" in found
    assert dict(matplotlib.rcParams) == before


def test_equal_numbers_draw_equal_charts(make: Make) -> None:
    numbers = read_numbers(*make(rounds=1))
    assert curves.pr_curves(numbers) == curves.pr_curves(numbers)


def test_every_curve_is_drawn_and_named(make: Make, drawn: Figure) -> None:
    numbers = read_numbers(*make(tests=("_a", "b")))
    curves.metric_curves(numbers)
    names = [text.get_text().strip() for text in drawn.legends[0].get_texts()]
    assert names == ["_a, ensemble", "_a, last", "b, ensemble", "b, last"]
    for axes, field in zip(drawn.axes, ("max_f", "mae", "s_measure"), strict=True):
        for line, name in zip(axes.get_lines(), names, strict=True):
            test_set, member = name.split(", ")
            assert np.asarray(line.get_xdata()).tolist() == [2, 3]
            assert np.asarray(line.get_ydata()).tolist() == [
                getattr(found.metrics[test_set][member], field) for found in numbers.rounds
            ]
            assert line.get_linestyle() == ("-" if member == "ensemble" else "--")


def test_the_schedule_meets_the_logged_rates(make: Make, drawn: Figure) -> None:
    campaign, config = make()  # four images in batches of two: two iterations an epoch
    numbers = read_numbers(campaign, config)
    curves.training_curves(numbers, config.train)
    rate, loss, delta = drawn.axes[:3]
    schedule, first, last = (np.array(line.get_xydata()) for line in rate.get_lines())
    assert schedule[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    np.testing.assert_allclose(schedule[::2], first)
    np.testing.assert_allclose(schedule[1::2], last)
    assert [np.asarray(line.get_ydata()).tolist() for line in loss.get_lines()] == [
        [entry["loss"] for entry in found.epochs] for found in numbers.rounds
    ]
    # the first snapshot has none before it
    assert [line.get_xydata().tolist() for line in delta.get_lines()] == [[[2, 0.1 / 4]]] * 2
    assert len(drawn.axes) == 4  # and the key to the rounds


def test_a_long_training_is_drawn_with_few_points(make: Make, drawn: Figure) -> None:
    campaign, config = make()
    numbers = replace(read_numbers(campaign, config), images=1_000_000)
    curves.training_curves(numbers, config.train)
    schedule = np.asarray(drawn.axes[0].get_lines()[0].get_xdata())
    assert (schedule[0], schedule[-1]) == (1, 4 * 500_000)
    assert len(schedule) < 2100
