from math import floor

import numpy as np
import pytest

from atal_ray.acquisition.grid import grid_position, original_pixels

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
