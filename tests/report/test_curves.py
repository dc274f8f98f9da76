from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.report import curves
from atal_ray.report.numbers import read_numbers

Make = Callable[..., tuple[CampaignFolder, Config]]


def groups(address: str, start: str) -> int:
    """How many elements of a chart have an id that starts like this."""
    root = ElementTree.fromstring(b64decode(address.removeprefix("data:image/svg+xml;base64,")))
    return sum(element.get("id", "").startswith(start) for element in root.iter())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure that the next chart is drawn on."""
    figure = Figure()
    monkeypatch.setattr(curves, "chart", lambda draw, **size: draw(figure))
    return figure


def test_relative_positions_equal_the_loop(make: Make) -> None:
    numbers = read_numbers(*make())
    sizes = {row["image_id"]: row for row in numbers.manifest.to_pylist()}
    expected = [
        (
            (row["x"] + 0.5) / sizes[row["image_id"]]["width"],
            (row["y"] + 0.5) / sizes[row["image_id"]]["height"],
        )
        for row in numbers.rounds[0].points.to_pylist()
    ]
    np.testing.assert_allclose(curves.relative_positions(numbers, numbers.rounds[0]), expected)


@pytest.mark.parametrize("points", [1, 50, 4000])
def test_density_of_an_even_spread_is_one_on_average(points: int) -> None:
    values = curves.density(np.random.default_rng(0).random((points, 2)))
    assert values.mean() == pytest.approx(1)


def test_density_knows_rows_from_columns() -> None:
    values = curves.density(np.tile([[0.9, 0.1]], (300, 1)))  # right and up
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert row < len(values) / 2 < column
    assert np.count_nonzero(values) == 1


def test_density_without_points_is_zero() -> None:
    assert (curves.density(np.empty((0, 2))) == 0).all()


def test_charts_have_their_panels(make: Make) -> None:
    campaign, config = make(tests=("$a", "b^{"))
    numbers = read_numbers(campaign, config)
    before = dict(matplotlib.rcParams)
    assert groups(curves.metric_curves(numbers), "axes_") == 3
    assert groups(curves.pr_curves(numbers), "axes_") == 2
    assert (
        groups(curves.training_curves(numbers, config.train), "axes_") == 4
    )  # three and the key to the rounds
    assert groups(curves.positions_chart(numbers), "axes_") == 3  # two and the scale
    assert dict(matplotlib.rcParams) == before


def test_one_round_draws_no_key_and_one_position_panel(make: Make) -> None:
    campaign, config = make(rounds=1)
    numbers = read_numbers(campaign, config)
    assert groups(curves.training_curves(numbers, config.train), "axes_") == 3
    assert groups(curves.positions_chart(numbers), "axes_") == 2


def test_equal_numbers_draw_equal_charts(make: Make) -> None:
    campaign, config = make()
    numbers = read_numbers(campaign, config)
    assert curves.training_curves(numbers, config.train) == curves.training_curves(numbers, config.train)
    slower = replace(config.train, lr_max=0.01)
    assert curves.training_curves(numbers, config.train) != curves.training_curves(numbers, slower)


def test_every_curve_is_drawn_and_named(make: Make, drawn: Figure) -> None:
    numbers = read_numbers(*make(tests=("_a", "b")))
    curves.metric_curves(numbers)
    names = [text.get_text().strip() for text in drawn.legends[0].get_texts()]
    assert names == ["_a, ensemble", "_a, last", "b, ensemble", "b, last"]
    for axes, field in zip(drawn.axes, ("max_f", "mae", "s_measure"), strict=True):
        for line, name in zip(axes.get_lines(), names, strict=True):
            test_set, member = name.split(", ")
            assert list(line.get_xdata()) == [2, 3]
            assert list(line.get_ydata()) == [
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
    assert [list(line.get_ydata()) for line in loss.get_lines()] == [
        [entry["loss"] for entry in found.epochs] for found in numbers.rounds
    ]
    assert [line.get_xydata().tolist() for line in delta.get_lines()] == [
        [[2, 0.1 / 4]]
    ] * 2  # the first has none before it
