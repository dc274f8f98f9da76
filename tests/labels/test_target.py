from fractions import Fraction
from math import floor

import numpy as np
import pytest

from atal_ray.labels.geometry import Geometry
from atal_ray.labels.points import UNSURE
from atal_ray.labels.target import draw_target

HEIGHT, WIDTH = 90, 130


def clicks(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    cells = rng.choice(HEIGHT * WIDTH, count, replace=False)
    xy = np.stack([cells % WIDTH, cells // WIDTH], axis=1).astype(np.int32)
    return xy, rng.choice([0, 1, UNSURE], count).astype(np.uint8)


def last_click_on_each_target_pixel(
    geometry: Geometry, xy: np.ndarray, labels: np.ndarray
) -> dict[tuple[int, int], int]:
    expected: dict[tuple[int, int], int] = {}
    for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
        column, row = x - geometry.left, y - geometry.top
        if 0 <= column < geometry.width and 0 <= row < geometry.height:
            column = geometry.width - 1 - column if geometry.flip else column
            down = Fraction(2 * row + 1, 2 * geometry.height)
            across = Fraction(2 * column + 1, 2 * geometry.width)
            expected[floor(down * geometry.size), floor(across * geometry.size)] = label
    return expected


@pytest.mark.parametrize("size", [32, 53, 64, 96, 160])  # 53 is 41 % of the width
@pytest.mark.parametrize("seed", range(6))
def test_no_click_inside_the_crop_is_lost(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xy, labels = clicks(rng, 200)
    geometry = Geometry.random(HEIGHT, WIDTH, size, rng)
    nothing = np.full((HEIGHT, WIDTH), UNSURE, np.uint8)  # clicks appear only where they are drawn
    target = draw_target(nothing, xy, labels, geometry)
    expected = last_click_on_each_target_pixel(geometry, xy, labels)
    assert len(expected) > 100
    drawn = np.full((size, size), UNSURE, np.uint8)
    for (row, column), label in expected.items():
        drawn[row, column] = label
    assert np.array_equal(target, drawn)


def test_of_two_clicks_on_one_target_pixel_the_later_is_seen() -> None:
    nothing = np.full((HEIGHT, WIDTH), UNSURE, np.uint8)
    geometry = Geometry.whole(HEIGHT, WIDTH, 32)
    xy = np.array([[0, 0], [1, 1]], np.int32)
    assert draw_target(nothing, xy, np.array([0, 1], np.uint8), geometry)[0, 0] == 1
    assert draw_target(nothing, xy, np.array([1, 0], np.uint8), geometry)[0, 0] == 0


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [32, 96, 256])
def test_regions_equal_the_loop_over_target_pixels(size: int, flip: bool) -> None:
    rng = np.random.default_rng(size)
    regions = rng.choice([0, 1, UNSURE], (HEIGHT, WIDTH)).astype(np.uint8)
    geometry = Geometry(9, 4, 115, 83, flip, size)
    target = draw_target(regions, np.empty((0, 2), np.int32), np.empty(0, np.uint8), geometry)
    assert target.dtype == np.uint8
    for row in range(size):
        for column in range(size):
            down, across = Fraction(2 * row + 1, 2 * size), Fraction(2 * column + 1, 2 * size)  # of the crop
            y, x = 4 + floor(down * 83), 9 + floor((1 - across if flip else across) * 115)
            assert target[row, column] == regions[y, x]


@pytest.mark.parametrize("flip", [False, True])
def test_clicks_lie_inside_their_own_regions(flip: bool) -> None:
    """A disc of one label around each click: the click's target pixel must be surrounded by that label."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    regions = np.full((HEIGHT, WIDTH), UNSURE, np.uint8)
    xy, labels = np.array([[30, 40], [95, 50]], np.int32), np.array([1, 0], np.uint8)
    for (x, y), label in zip(xy, labels, strict=True):
        regions[(rows - y) ** 2 + (columns - x) ** 2 < 15**2] = label
    geometry = Geometry(3, 7, 120, 80, flip, 64)
    target = draw_target(regions, xy, labels, geometry)
    placed, inside = geometry.to_target(xy)
    assert inside.all()
    for (column, row), label in zip(placed, labels, strict=True):
        assert (target[row - 4 : row + 5, column - 4 : column + 5] == label).all()


def test_the_regions_are_left_as_they_were() -> None:
    regions = np.zeros((64, 64), np.uint8)
    draw_target(regions, np.array([[3, 3]], np.int32), np.array([1], np.uint8), Geometry.whole(64, 64, 64))
    assert not regions.any()
