"""The points of one image: from its maps to the k pixels that are asked for next."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.candidates import candidate_set
from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.grid import GridPixels, grid_position, original_pixels
from atal_ray.acquisition.rds import select, unit_vectors
from atal_ray.config import QueryConfig

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
    return _pick(grid, _spread(order, pool.superpixels[kept].ravel()[order])[:k])


def pick_uncertain(pool: Pool, score: npt.NDArray[np.float32], k: int, rng: np.random.Generator) -> Pick:
    """The k most uncertain free pixels, ties by `rng`: the sampling that RDS is compared with."""
    grid = pool.grid
    kept = np.ix_(grid.cell_rows, grid.cell_columns)
    tie = rng.random(score[kept].shape, np.float32)
    return _pick(grid, candidate_set(score[kept], pool.free[kept], 100.0, tie)[:k])


@dataclass(frozen=True)
class Ranked:
    """The cover V of an image's candidate set, the first to ask for first."""

    pick: Pick
    features: npt.NDArray[np.float32]
    """Decoder features of the picks [m, C]."""
    labelled: npt.NDArray[np.float32]
    """Those of the labelled points [M, C]."""

    def first(self, k: int) -> Pick:
        """The first k picks."""
        rows, columns = self.pick.cells
        return Pick((rows[:k], columns[:k]), self.pick.xy[:k])


def rank_diverse(
    pool: Pool,
    score: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32],
    k: int,
    config: QueryConfig,
    rng: np.random.Generator,
) -> Ranked:
    """The candidate set, its cover V, and V ranked by how little it is like the labelled points (RDS).

    Two of the first picks share a superpixel only where V leaves no other choice: the second click would buy
    the same region.

    Args:
        pool: the free pixels.
        score: uncertainty u(x) [S, S].
        features: decoder features [C, h, w].
        k: points that may be wanted: V holds `config.cover_factor` times as many, fewer when fewer pixels are
            free.
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
    pixels = np.stack([grid.columns[columns], grid.rows[rows]], axis=1).astype(np.float64)
    m = config.cover_factor * k
    ranked = select(
        _positions(pixels, vectors, pool, config), vectors, known, m, m, config.cover, config.similarity
    )
    ranked = _spread(ranked, pool.superpixels[kept].ravel()[candidates[ranked]])
    return Ranked(_pick(grid, candidates[ranked]), vectors[ranked], known)


def pick_diverse(
    pool: Pool,
    score: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32],
    k: int,
    config: QueryConfig,
    rng: np.random.Generator,
) -> Pick:
    """The k picks of an image by RDS, fewer when fewer pixels are free; see `rank_diverse`."""
    return rank_diverse(pool, score, features, k, config, rng).first(k)


def _positions(
    pixels: npt.NDArray[np.float64], vectors: npt.NDArray[np.float32], pool: Pool, config: QueryConfig
) -> npt.NDArray[np.float64]:
    """Candidates in the space of sigma (Eq. 9).

    With `both`, sigma^2 = (1 - w) |pixels|^2 / diagonal^2 + w |unit vectors|^2 / 4, so that each part reaches
    1 at most.
    """
    if config.cover_space == "image":
        return pixels  # whole numbers keep equal distances equal
    if config.cover_space == "features":
        return unit_vectors(vectors)
    weight, diagonal = config.cover_weight, float(np.hypot(pool.height, pool.width))
    return np.concatenate(
        [np.sqrt(1 - weight) / diagonal * pixels, np.sqrt(weight) / 2 * unit_vectors(vectors)], axis=1
    )


def _spread(order: Indices, groups: npt.NDArray[np.int32]) -> Indices:
    """`order` with the first member of each group before the rest; group -1 is no group."""
    _, first = np.unique(groups, return_index=True)
    fresh = np.zeros(len(order), bool)
    fresh[first] = True
    fresh |= groups < 0
    return np.concatenate([order[fresh], order[~fresh]])


def _pick(grid: GridPixels, chosen: Indices) -> Pick:
    rows, columns = np.divmod(chosen, len(grid.cell_columns))
    return Pick(
        (grid.cell_rows[rows], grid.cell_columns[columns]),
        np.stack([grid.columns[columns], grid.rows[rows]], axis=1),
    )
