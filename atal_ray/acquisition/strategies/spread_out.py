"""Pixels as far as possible from labelled ones and from each other."""

import numpy as np

from atal_ray.acquisition.cover.distances import Array
from atal_ray.acquisition.cover.farthest import farthest
from atal_ray.acquisition.grid import grid_position
from atal_ray.acquisition.pick import Pick, PixelPool, pick_cells
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy


class SpreadOut(Strategy):
    """Greedy k-center over the free pixels, with the labelled ones as its first centres; no network is run.

    It is what a grid becomes that is laid a few points at a time.
    """

    looks = scored = False

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels, the farthest first; equally far ones in random order."""
        grid, size = pool.grid, len(pool.free)
        free = rng.permutation(np.flatnonzero(grid.kept(pool.free)))
        rows, columns = np.divmod(free, len(grid.cell_columns))
        cells = np.stack([grid.cell_columns[columns], grid.cell_rows[rows]], axis=1).astype(np.float64)
        labelled = grid_position(pool.labelled, size, pool.height, pool.width)
        nearest = np.full(len(free), np.inf)
        for point in labelled:
            np.minimum(nearest, _squares(cells, point), out=nearest)
        chosen = farthest(nearest, lambda number: _squares(cells, cells[number]), k)
        return pick_cells(grid, free[chosen])


def _squares(cells: Array, point: Array) -> Array:
    squares: Array = np.square(cells - point).sum(1)
    return squares
