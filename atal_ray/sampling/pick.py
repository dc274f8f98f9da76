"""The points of one image: from its maps to the k pixels that are asked for next."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atal_ray.config import QueryConfig
from atal_ray.sampling.candidates import candidate_set
from atal_ray.sampling.features import sample_bilinear
from atal_ray.sampling.grid import GridPixels, grid_position, original_pixels
from atal_ray.sampling.rds import select, unit_vectors

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The pixels of one image that may be asked for, on the query grid [S, S]."""

    height: int
    width: int
    free: npt.NDArray[np.bool_]
    """Cells whose pixel is not labelled, neither by a click nor by a click's region."""
    superpixels: npt.NDArray[np.int32]
    """Superpixel id under each cell; -1 where regions are not used."""
    labelled: npt.NDArray[np.int32]
    """Column and row of the labelled points [M, 2] in the original image."""

    @property
    def grid(self) -> GridPixels:
        """The original pixel of each cell that is kept."""
        return original_pixels(len(self.free), self.height, self.width)


@dataclass(frozen=True)
class Pick:
    """Picked pixels in the order of picking."""

    cells: tuple[Indices, Indices]
    """Row and column on the query grid."""
    xy: npt.NDArray[np.int64]
    """Column and row [k, 2] in the original image."""


def pick_random(pool: Pool, k: int, rng: np.random.Generator) -> Pick:
    """K free pixels at random, in different superpixels as long as there are any."""
    grid = pool.grid
    kept = np.ix_(grid.cell_rows, grid.cell_columns)
    order = rng.permutation(np.flatnonzero(pool.free[kept]))
    return _pick(grid, _spread(order, pool.superpixels[kept].ravel()[order], k))


def pick_uncertain(pool: Pool, score: npt.NDArray[np.float32], k: int, rng: np.random.Generator) -> Pick:
    """The k most uncertain free pixels, ties by `rng`: the sampling that RDS is compared with."""
    grid = pool.grid
    kept = np.ix_(grid.cell_rows, grid.cell_columns)
    tie = rng.random(score[kept].shape, np.float32)
    return _pick(grid, candidate_set(score[kept], pool.free[kept], 100.0, tie)[:k])


def pick_diverse(
    pool: Pool, score: npt.NDArray[np.float32], features: npt.NDArray[np.float32], k: int, config: QueryConfig, rng: np.random.Generator
) -> Pick:
    """The candidate set, its cover V, and of it the k least like the labelled points (RDS).

    Two picks share a superpixel only where V leaves no other choice: the second click would buy the same region.

    Args:
        pool: the free pixels.
        score: uncertainty u(x) [S, S].
        features: decoder features [C, h, w].
        k: points to pick; fewer when fewer pixels are free.
        config: K, the cover and its size.
        rng: breaks ties.
    """
    grid, size = pool.grid, len(pool.free)
    kept = np.ix_(grid.cell_rows, grid.cell_columns)
    tie = rng.random(score[kept].shape, np.float32)
    percent = max(config.top_percent, 100 * (k + 0.5) / tie.size)  # a tiny image, too, has k candidates
    candidates = candidate_set(score[kept], pool.free[kept], percent, tie)
    rows, columns = np.divmod(candidates, len(grid.cell_columns))
    cells = np.stack([grid.cell_columns[columns], grid.cell_rows[rows]], axis=1).astype(np.float64)
    vectors = sample_bilinear(features, cells, size)
    known = sample_bilinear(features, grid_position(pool.labelled, size, pool.height, pool.width), size)
    if config.cover_space == "features":
        positions = unit_vectors(vectors)
    else:
        positions = np.stack([grid.columns[columns], grid.rows[rows]], axis=1).astype(np.float64)  # whole pixels keep equal distances equal
    m = config.cover_factor * k
    ranked = candidates[select(positions, vectors, known, m, m, config.cover)]
    return _pick(grid, _spread(ranked, pool.superpixels[kept].ravel()[ranked], k))


def _spread(order: Indices, groups: npt.NDArray[np.int32], k: int) -> Indices:
    """The first k of `order` in different groups (group -1 is no group), filled up with the first of the rest."""
    _, first = np.unique(groups, return_index=True)
    fresh = np.zeros(len(order), bool)
    fresh[first] = True
    fresh |= groups < 0
    return np.concatenate([order[fresh], order[~fresh]])[:k]


def _pick(grid: GridPixels, chosen: Indices) -> Pick:
    rows, columns = np.divmod(chosen, len(grid.cell_columns))
    return Pick((grid.cell_rows[rows], grid.cell_columns[columns]), np.stack([grid.columns[columns], grid.rows[rows]], axis=1))
