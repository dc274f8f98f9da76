"""The query grid: where the cells of the resized square lie in the original image, and back."""

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from atal_ray.labels.points import UNSURE

Indices = NDArray[np.int64]
Kind = TypeVar("Kind", bound=np.generic)


class GridPixels(NamedTuple):
    """One grid cell for each original pixel that can be asked for; rows and columns are independent."""

    cell_rows: Indices
    """Rows of the grid that are kept, increasing."""
    cell_columns: Indices
    """Columns of the grid that are kept, increasing."""
    rows: Indices
    """Original row under each kept grid row."""
    columns: Indices
    """Original column under each kept grid column."""

    def kept(self, cells: NDArray[Kind]) -> NDArray[Kind]:
        """The kept cells of a map [S, S]."""
        if len(self.cell_columns) == cells.shape[1]:  # whole rows are copied many times faster
            return cells[self.cell_rows]
        return cells[np.ix_(self.cell_rows, self.cell_columns)]


def under_centres(size: int, length: int) -> Indices:
    """The pixel of `length` under the centre of each of `size` cells, floor((cell + 0.5) * length / size)."""
    return (2 * np.arange(size, dtype=np.int64) + 1) * length // (2 * size)  # without rounding


def _axis(size: int, length: int) -> tuple[Indices, Indices]:
    cells, pixels = np.arange(size, dtype=np.int64), under_centres(size, length)
    if size <= length:
        return cells, pixels
    # Between the centres of cell and pixel, in units of 1 / (2 size) pixels.
    distance = np.abs((2 * cells + 1) * length - (2 * pixels + 1) * size)
    order = np.lexsort((cells, distance, pixels))
    covered, first = np.unique(pixels[order], return_index=True)
    return order[first], covered


def original_pixels(size: int, height: int, width: int) -> GridPixels:
    """The original pixel under each cell of the query grid, floor((cell + 0.5) * side / size), each once.

    Where the grid is finer than the image several cells share a pixel: only the cell whose centre is nearest
    to the pixel's is kept, the first one if two are equally near. Every pixel lies inside the image.

    Args:
        size: side of the square grid in cells.
        height: of the original image in pixels.
        width: of the original image in pixels.
    """
    cell_rows, rows = _axis(size, height)
    cell_columns, columns = _axis(size, width)
    return GridPixels(cell_rows, cell_columns, rows, columns)


def grid_position(xy: NDArray[np.generic], size: int, height: int, width: int) -> NDArray[np.floating[Any]]:
    """Continuous grid coordinates of original pixels: (x + 0.5) * size / width - 0.5, and likewise for y.

    Args:
        xy: [N, 2] column and row in the original image.
        size: side of the square grid in cells.
        height: of the original image in pixels.
        width: of the original image in pixels.

    Returns:
        [N, 2] float64; an integer is the centre of a cell.
    """
    sides = np.array([width, height], dtype=np.float64)
    return (xy.astype(np.float64) + 0.5) * size / sides - 0.5


def labels_on_grid(
    xy: NDArray[np.generic], labels: NDArray[np.uint8], size: int, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The points of one image on the grid, without the unsure ones.

    Each point is drawn in the cell nearest to it; of two in one cell the later counts.

    Args:
        xy: [N, 2] column and row in the original image.
        labels: [N] of 0, 1 or 255.
        size: side of the square grid in cells.
        height: of the original image in pixels.
        width: of the original image in pixels.

    Returns:
        The labels y of 0 and 1, and 1 where y is known, both float32 [size, size].
    """
    y, known = (np.zeros((size, size), np.float32) for _ in range(2))
    sure = labels != UNSURE
    cells = np.rint(grid_position(xy[sure], size, height, width)).astype(np.int64).clip(0, size - 1)
    y[cells[:, 1], cells[:, 0]] = labels[sure]
    known[cells[:, 1], cells[:, 0]] = 1
    return y, known
