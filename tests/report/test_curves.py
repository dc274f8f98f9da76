from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from atal_ray.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.report import curves
from atal_ray.report.figure import chart, visible
from atal_ray.report.numbers import Numbers, read_numbers

Make = Callable[..., tuple[CampaignFolder, Config]]


def groups(address: str, start: str) -> int:
    """How many elements of a chart have an id that starts like this."""
    root = ElementTree.fromstring(b64decode(address.removeprefix("data:image/svg+xml;base64,")))
    return sum(element.get("id", "").startswith(start) for element in root.iter())


def test_relative_positions_equal_the_loop(make: Make) -> None:
    numbers = read_numbers(*make())
    sizes = {row["image_id"]: row for row in numbers.manifest.to_pylist()}
    expected = [
        ((row["x"] + 0.5) / sizes[row["image_id"]]["width"], (row["y"] + 0.5) / sizes[row["image_id"]]["height"])
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
    assert groups(curves.training_curves(numbers, config.train), "axes_") == 4  # three and the key to the rounds
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


def test_a_test_set_that_starts_with_an_underscore_is_in_the_legend(make: Make) -> None:
    def legend_lines(numbers: Numbers) -> int:
        found: list[int] = []
        chart(lambda figure: found.append(len(figure.legends)))
        return found[0] + sum(not visible(name).startswith("_") for name in numbers.test_sets)

    assert legend_lines(read_numbers(*make(tests=("_a", "b")))) == 2
