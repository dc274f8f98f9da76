from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from atal_ray.acquisition.grid import grid_position, labels_on_grid, original_pixels
from atal_ray.labels.points import UNSURE

SHAPES = [
    (32, 40, 57),
    (32, 32, 32),
    (32, 20, 400),
    (64, 9, 64),
    (32, 1, 31),
    (352, 300, 400),
    (7, 3, 5),
    (6, 4, 3),
]


def naive_axis(size: int, length: int) -> dict[int, int]:
    """Original pixel -> cell."""
    kept: dict[int, int] = {}
    for cell in range(size):
        centre = (cell + 0.5) * length / size
        pixel = floor(centre)
        rival = kept.get(pixel)
        if (
            rival is None
            or abs(centre - pixel - 0.5) < abs((rival + 0.5) * length / size - pixel - 0.5) - 1e-9
        ):
            kept[pixel] = cell
    return kept


@pytest.mark.parametrize(("size", "height", "width"), SHAPES)
def test_equals_the_loop(size: int, height: int, width: int) -> None:
    grid = original_pixels(size, height, width)
    assert dict(zip(grid.rows.tolist(), grid.cell_rows.tolist(), strict=True)) == naive_axis(size, height)
    assert dict(zip(grid.columns.tolist(), grid.cell_columns.tolist(), strict=True)) == naive_axis(
        size, width
    )


@pytest.mark.parametrize(("size", "height", "width"), SHAPES)
def test_pixels_are_inside_and_unique_and_all_of_a_small_side(size: int, height: int, width: int) -> None:
    grid = original_pixels(size, height, width)
    for cells, pixels, side in (
        (grid.cell_rows, grid.rows, height),
        (grid.cell_columns, grid.columns, width),
    ):
        assert len(cells) == len(pixels) == min(size, side)
        assert (np.diff(pixels) > 0).all()
        assert (np.diff(cells) > 0).all()
        assert pixels[0] >= 0
        assert pixels[-1] < side
        assert cells[-1] < size


@pytest.mark.parametrize(("size", "height", "width"), SHAPES)
def test_positions_lie_within_half_a_cell_or_pixel_of_the_cell(size: int, height: int, width: int) -> None:
    grid = original_pixels(size, height, width)
    for cell, row in zip(grid.cell_rows, grid.rows, strict=True):
        _, y = grid_position(np.array([[0, row]]), size, height, width)[0]
        assert abs(y - cell) <= 0.5 * max(1, size / height) + 1e-9


def test_position_equals_the_formula_and_aligns_the_borders() -> None:
    xy = np.array([[0, 0], [399, 299], [17, 200]], dtype=np.int32)
    expected = [[(x + 0.5) * 352 / 400 - 0.5, (y + 0.5) * 352 / 300 - 0.5] for x, y in xy.tolist()]
    np.testing.assert_allclose(grid_position(xy, 352, 300, 400), expected, atol=1e-12)
    edges = grid_position(np.array([[-0.5, -0.5], [399.5, 299.5]]), 352, 300, 400)
    np.testing.assert_allclose(edges, [[-0.5, -0.5], [351.5, 351.5]], atol=1e-12)


SIDES = st.integers(1, 60)


@examples
@given(size=SIDES, height=SIDES, width=SIDES)
def test_every_kept_cell_lies_over_its_pixel_and_no_other_is_nearer(
    size: int, height: int, width: int
) -> None:
    grid = original_pixels(size, height, width)
    for cells, pixels, side in (
        (grid.cell_rows, grid.rows, height),
        (grid.cell_columns, grid.columns, width),
    ):
        kept = dict(zip(pixels.tolist(), cells.tolist(), strict=True))
        assert len(kept) == min(size, side)
        for pixel, cell in kept.items():
            under = [c for c in range(size) if (2 * c + 1) * side // (2 * size) == pixel]
            away = {c: abs((2 * c + 1) * side - (2 * pixel + 1) * size) for c in under}
            assert cell == min(under, key=lambda c: (away[c], c))


@st.composite
def points_of_an_image(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int, int]:
    """Points without repeats, their labels, the side of the grid, height and width."""
    size, height, width = draw(SIDES), draw(SIDES), draw(SIDES)
    pixels = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    xy = draw(st.lists(pixels, max_size=12, unique=True))
    labels = draw(st.lists(st.sampled_from([0, 1, UNSURE]), min_size=len(xy), max_size=len(xy)))
    return np.array(xy, np.int32).reshape(-1, 2), np.array(labels, np.uint8), size, height, width


@examples
@given(points_of_an_image())
def test_labels_on_the_grid_equal_the_loop_over_sure_points(
    image: tuple[np.ndarray, np.ndarray, int, int, int],
) -> None:
    xy, labels, size, height, width = image
    y, known = labels_on_grid(xy, labels, size, height, width)
    expected: dict[tuple[int, int], int] = {}
    for (column, row), label in zip(xy.tolist(), labels.tolist(), strict=True):
        if label != UNSURE:  # of two points in one cell the later counts
            across, down = (column + 0.5) * size / width - 0.5, (row + 0.5) * size / height - 0.5
            expected[min(max(round(down), 0), size - 1), min(max(round(across), 0), size - 1)] = label
    assert {tuple(cell) for cell in np.argwhere(known).tolist()} == set(expected)
    assert all(y[cell] == label for cell, label in expected.items())
    assert y.sum() == sum(expected.values())
    assert y.dtype == known.dtype == np.float32
    assert set(np.unique(known)) <= {0, 1}


def test_labels_lie_in_the_row_and_column_of_their_point() -> None:
    y, known = labels_on_grid(np.array([[30, 3], [2, 11]]), np.array([1, 0], np.uint8), 8, 16, 32)
    assert np.argwhere(known).tolist() == [[1, 7], [5, 0]]
    assert np.argwhere(y).tolist() == [[1, 7]]


def test_an_unsure_point_is_neither_background_nor_salient() -> None:
    y, known = labels_on_grid(np.array([[1, 1], [4, 4]]), np.array([UNSURE, 0], np.uint8), 8, 8, 8)
    assert np.argwhere(known).tolist() == [[4, 4]]
    assert not y.any()


def test_of_two_points_in_one_cell_the_later_counts() -> None:
    xy = np.array([[0, 0], [1, 1]])
    for labels in ([0, 1], [1, 0]):
        y, known = labels_on_grid(xy, np.array(labels, np.uint8), 4, 16, 16)
        assert known.sum() == 1
        assert y[0, 0] == labels[1]
