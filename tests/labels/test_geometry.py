from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from atal_ray.labels.geometry import Geometry

CASES = [
    Geometry(0, 0, 60, 40, False, 40),
    Geometry(0, 0, 60, 40, True, 96),
    Geometry(7, 3, 47, 31, False, 32),
    Geometry(7, 3, 47, 31, True, 32),
    Geometry(5, 0, 50, 40, True, 100),  # every pixel centre falls on the border of two target pixels
    Geometry(59, 39, 1, 1, True, 32),
]
HEIGHT, WIDTH = 40, 60


def all_pixels() -> np.ndarray:
    rows, columns = np.indices((HEIGHT, WIDTH))
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def naive_target(geometry: Geometry, x: int, y: int) -> tuple[int, int] | None:
    column, row = x - geometry.left, y - geometry.top
    if not (0 <= column < geometry.width and 0 <= row < geometry.height):
        return None
    if geometry.flip:
        column = geometry.width - 1 - column
    across, down = Fraction(2 * column + 1, 2 * geometry.width), Fraction(2 * row + 1, 2 * geometry.height)
    return floor(across * geometry.size), floor(down * geometry.size)


@pytest.mark.parametrize("geometry", CASES)
def test_to_target_equals_the_exact_loop(geometry: Geometry) -> None:
    xy = all_pixels()
    placed, inside = geometry.to_target(xy)
    for (x, y), found, is_inside in zip(xy.tolist(), placed.tolist(), inside.tolist(), strict=True):
        expected = naive_target(geometry, x, y)
        assert is_inside == (expected is not None)
        assert expected is None or tuple(found) == expected


def test_to_target_is_exact_for_every_side() -> None:
    for width in range(1, 420, 7):
        for flip in (False, True):
            geometry = Geometry(0, 0, width, 1, flip, 352)
            placed, inside = geometry.to_target(np.stack([np.arange(width), np.zeros(width, int)], axis=1))
            assert inside.all()
            assert [tuple(p) for p in placed.tolist()] == [naive_target(geometry, x, 0) for x in range(width)]


def test_to_target_takes_no_points_and_small_integers() -> None:
    placed, inside = CASES[0].to_target(np.empty((0, 2), np.int32))
    assert placed.shape == (0, 2)
    assert inside.shape == (0,)
    wide = Geometry(0, 0, 60_000, 40, True, 352)
    assert wide.to_target(np.array([[59_999, 39], [0, 0]], np.int32))[0].tolist() == [[0, 347], [351, 4]]


@pytest.mark.parametrize("geometry", CASES)
def test_source_equals_the_exact_loop(geometry: Geometry) -> None:
    rows, columns = geometry.source()
    for index in range(geometry.size):
        centre = Fraction(2 * index + 1, 2 * geometry.size)
        across = 1 - centre if geometry.flip else centre
        assert rows[index] == geometry.top + floor(centre * geometry.height)
        assert columns[index] == geometry.left + floor(across * geometry.width)


@pytest.mark.parametrize("size", [32, 37, 41])
@pytest.mark.parametrize("flip", [False, True])
def test_where_the_image_shrinks_a_source_pixel_goes_where_it_was_taken_for(flip: bool, size: int) -> None:
    geometry = Geometry(3, 2, 53, 41, flip, size)
    rows, columns = geometry.source()
    placed, inside = geometry.to_target(np.stack([columns, rows], axis=1))
    assert inside.all()
    assert placed.tolist() == [[index, index] for index in range(size)]


@pytest.mark.parametrize("flip", [False, True])
def test_a_bright_pixel_lands_where_its_point_does(flip: bool) -> None:
    side = 40
    geometry = Geometry(11, 0, side, side, flip, side)  # at native size, so that nothing is blended
    for x, y in [(11, 0), (50, 39), (30, 17), (11, 39)]:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[y, x] = 255
        ((column, row),), inside = geometry.to_target(np.array([[x, y]]))
        assert inside.all()
        shown = geometry.image(image)
        assert shown.shape == (side, side, 3)
        assert np.argwhere(shown[..., 0]).tolist() == [[row, column]]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_bright_spot_stays_under_its_point_at_any_size(flip: bool, size: int) -> None:
    geometry = Geometry(4, 2, 52, 35, flip, size)
    for x, y in [(20, 10), (45, 30), (8, 20)]:
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
        ((column, row),), _ = geometry.to_target(np.array([[x, y]]))
        shown = geometry.image(image)[..., 0].astype(float)
        rows, columns = np.indices(shown.shape)
        assert abs((shown * rows).sum() / shown.sum() - row) <= 1
        assert abs((shown * columns).sum() / shown.sum() - column) <= 1


def test_whole_is_the_image_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(Geometry.whole(32, 32, 32).image(image), image)
    rows, columns = Geometry.whole(32, 32, 32).source()
    assert rows.tolist() == columns.tolist() == list(range(32))


def test_a_soft_mask_moves_with_its_image_and_stays_float() -> None:
    mask = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    for geometry in CASES:
        shown = geometry.image(mask.astype(np.float32) / np.float32(255))
        assert (shown.shape, shown.dtype) == ((geometry.size, geometry.size), np.float32)
        red = geometry.image(np.repeat(mask[..., None], 3, axis=2))[..., 0]
        assert np.abs(red - 255.0 * shown).max() <= 1


def test_random_crops_cut_up_to_an_eighth_anywhere_and_flip_half() -> None:
    rng = np.random.default_rng(0)
    drawn = [Geometry.random(80, 161, 64, rng) for _ in range(2000)]
    assert {160 - g.width for g in drawn} == set(range(-1, 19))  # 0 to 19 of 161 columns
    assert {80 - g.height for g in drawn} == set(range(10))
    assert {g.left for g in drawn if g.width == 161 - 5} == set(range(6))
    assert 900 < sum(g.flip for g in drawn) < 1100
    assert len({(g.width, g.height, g.left, g.top, g.flip) for g in drawn}) > 1500


def test_random_crops_of_tiny_images_keep_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        geometry = Geometry.random(1, 7, 32, rng)
        assert (geometry.left, geometry.top, geometry.width, geometry.height) == (0, 0, 7, 1)
        assert geometry.image(np.zeros((1, 7, 3), np.uint8)).shape == (32, 32, 3)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[Geometry, int, int]:
    """A random augmentation of an image, and the image's height and width."""
    height, width, size = draw(st.integers(1, 90)), draw(st.integers(1, 90)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return Geometry.random(height, width, size, rng), height, width


@examples
@given(geometries())
def test_the_crop_lies_in_the_image_and_cuts_less_than_an_eighth(drawn: tuple[Geometry, int, int]) -> None:
    geometry, height, width = drawn
    assert 0 <= geometry.top <= geometry.top + geometry.height <= height
    assert 0 <= geometry.left <= geometry.left + geometry.width <= width
    assert height - geometry.height <= height // 8
    assert width - geometry.width <= width // 8


@examples
@given(geometries())
def test_points_keep_their_order_and_stay_in_the_square(drawn: tuple[Geometry, int, int]) -> None:
    geometry, height, width = drawn
    columns = np.stack([np.arange(width), np.full(width, geometry.top)], axis=1)
    placed, inside = geometry.to_target(columns)
    expected = (columns[:, 0] >= geometry.left) & (columns[:, 0] < geometry.left + geometry.width)
    assert inside.tolist() == expected.tolist()
    steps = np.diff(placed[inside, 0])
    assert ((steps <= 0) if geometry.flip else (steps >= 0)).all()
    for place in placed.tolist():
        assert 0 <= min(place) <= max(place) < geometry.size
    rows = np.stack([np.full(height, geometry.left), np.arange(height)], axis=1)
    placed, inside = geometry.to_target(rows)
    assert (np.diff(placed[inside, 1]) >= 0).all()  # a flip leaves rows as they are


@examples
@given(geometries())
def test_source_and_target_are_inverse(drawn: tuple[Geometry, int, int]) -> None:
    """Exactly where an axis shrinks; where it grows, the target pixel of a source takes its label from it."""
    geometry, _, _ = drawn
    rows, columns = geometry.source()
    placed, inside = geometry.to_target(np.stack([columns, rows], axis=1))
    assert inside.all()
    for axis, (side, sources) in enumerate(((geometry.width, columns), (geometry.height, rows))):
        if geometry.size <= side:
            assert placed[:, axis].tolist() == list(range(geometry.size))
        else:
            assert sources[placed[:, axis]].tolist() == sources.tolist()
