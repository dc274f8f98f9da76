"""The query of one image: candidates (K %), cover (Eq. 9), similarity (Eq. 10) -> the k pixels to ask for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.candidates import candidate_count, candidate_set
from atal_ray.acquisition.features import FeatureCells, sample_bilinear
from atal_ray.acquisition.grid import GridPixels, grid_position, original_pixels
from atal_ray.acquisition.rds import select, unit_vectors
from atal_ray.config import QueryConfig

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PixelPool:
    """The pixels of one image that may be asked for, on the query grid [S, S]."""

    height: int
    width: int
    free: npt.NDArray[np.bool_]
    """False where the pixel under a cell is labelled, by a point or by a point's region, and where another
    cell stands for it.
    """
    superpixels: npt.NDArray[np.int32]
    """Superpixel id under each cell; -1 where regions are not used."""
    labelled: npt.NDArray[np.int32]
    """Column and row of the labelled points [M, 2] in the original image."""

    @property
    def grid(self) -> GridPixels:
        """One cell for each original pixel that the grid can ask for."""
        return original_pixels(len(self.free), self.height, self.width)

    @property
    def pixels(self) -> int:
        """How many original pixels the grid can ask for, labelled ones included."""
        size = len(self.free)
        return min(size, self.height) * min(size, self.width)

    def of(self, cells: npt.NDArray[np.bool_]) -> "PixelPool":
        """The pool with nothing free but some of its cells [S, S]."""
        return replace(self, free=self.free & cells)

    def within(self, margin: float, wanted: int) -> "PixelPool":
        """The pool without the pixels in the outer share `margin` of each side; the pool as it is where that
        leaves fewer than `wanted`.
        """
        if margin == 0:
            return self
        grid = self.grid
        rows, columns = (
            cells[abs((pixels + 0.5) / length - 0.5) <= 0.5 - margin]
            for cells, pixels, length in (
                (grid.cell_rows, grid.rows, self.height),
                (grid.cell_columns, grid.columns, self.width),
            )
        )
        inner, free = np.ix_(rows, columns), np.zeros_like(self.free)
        free[inner] = self.free[inner]
        return replace(self, free=free) if np.count_nonzero(free) >= wanted else self


@dataclass(frozen=True)
class Pick:
    """Picked pixels in the order of picking."""

    cells: tuple[Indices, Indices]
    """Row and column on the query grid."""
    xy: npt.NDArray[np.int64]
    """Column and row [k, 2] in the original image."""


def concat_picks(picks: Sequence[Pick]) -> Pick:
    """One pick after another."""
    rows, columns = (np.concatenate([pick.cells[axis] for pick in picks]) for axis in (0, 1))
    return Pick((rows, columns), np.concatenate([pick.xy for pick in picks]))


def pick_random(pool: PixelPool, k: int, rng: np.random.Generator) -> Pick:
    """Picks k free pixels at random, or all if fewer, in different superpixels while there are any."""
    grid = pool.grid
    order = rng.permutation(np.flatnonzero(grid.kept(pool.free)))
    order = fresh_superpixels_first(order, grid.kept(pool.superpixels).ravel()[order])
    return pick_cells(grid, order[:k])


def pick_by_key(pool: PixelPool, key: npt.NDArray[np.floating[Any]], k: int) -> Pick:
    """The k free pixels with the largest keys, or all if fewer, in different superpixels while there are any.

    Args:
        pool: the free pixels.
        key: distinct numbers [S, S].
        k: points.
    """
    grid = pool.grid
    free = np.flatnonzero(grid.kept(pool.free))
    order = free[np.argsort(-grid.kept(key).ravel()[free], kind="stable")]
    order = fresh_superpixels_first(order, grid.kept(pool.superpixels).ravel()[order])
    return pick_cells(grid, order[:k])


def pick_uncertain(pool: PixelPool, score: npt.NDArray[np.float32], k: int, rng: np.random.Generator) -> Pick:
    """The k most uncertain free pixels, without RDS; pixels of equal score are ordered by `rng`.

    Args:
        pool: the free pixels.
        score: uncertainty u(x) [S, S].
        k: points; fewer where fewer pixels are free.
        rng: orders pixels of equal score.

    Raises:
        DivergedError: a score is not finite.
    """
    grid = pool.grid
    kept = grid.kept(score)
    tie = rng.random(kept.shape, np.float32)
    count = candidate_count(tie.size, 0, k)
    return pick_cells(grid, candidate_set(kept, grid.kept(pool.free), count, tie)[:k])


@dataclass(frozen=True)
class RankedCover:
    """The cover V of an image's candidate set, in the order in which its pixels should be asked for."""

    pick: Pick
    features: npt.NDArray[np.float32]
    """Decoder features of its pixels [m, C]."""
    labelled: npt.NDArray[np.float32]
    """Those of the labelled points [M, C]."""

    def first(self, k: int) -> Pick:
        """The first k pixels of the cover."""
        rows, columns = self.pick.cells
        return Pick((rows[:k], columns[:k]), self.pick.xy[:k])


def rank_diverse(
    pool: PixelPool,
    score: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32] | FeatureCells,
    k: int,
    config: QueryConfig,
    rng: np.random.Generator,
) -> RankedCover:
    """The candidate set, its cover V (Eq. 9), and V in ascending order of the similarity phi (Eq. 10).

    The first pixel of each superpixel comes before all second ones, because a second click in a superpixel
    would label the same region again.

    Args:
        pool: the free pixels.
        score: uncertainty u(x) [S, S].
        features: decoder features [C, h, w], or those of their cells that samples are made of.
        k: points wanted: V holds `config.cover_factor` times as many, fewer where fewer pixels are free.
        config: K, the cover and its size, and phi.
        rng: orders pixels of equal score.

    Raises:
        DivergedError: a score, or a feature of a member of V or of a labelled point, is not finite; or that
            of a candidate, where the space of the cover is of features.
    """
    grid, size = pool.grid, len(pool.free)
    kept = grid.kept(score)
    tie = rng.random(kept.shape, np.float32)
    count = candidate_count(tie.size, config.top_percent, k)
    candidates = candidate_set(kept, grid.kept(pool.free), count, tie)
    rows, columns = np.divmod(candidates, len(grid.cell_columns))
    cells = np.stack([grid.cell_columns[columns], grid.cell_rows[rows]], axis=1).astype(np.float64)

    def features_of(which: Indices) -> npt.NDArray[np.float32]:
        return sample_bilinear(features, cells[which], size)

    known = sample_bilinear(features, grid_position(pool.labelled, size, pool.height, pool.width), size)
    pixels = np.stack([grid.columns[columns], grid.rows[rows]], axis=1).astype(np.float64)
    m = config.cover_factor * k
    positions = _positions(pixels, features_of, pool, config)
    ranked = select(positions, features_of, known, m, m, config.cover, config.similarity)
    own = pool.superpixels[grid.cell_rows[rows[ranked]], grid.cell_columns[columns[ranked]]]
    ranked = fresh_superpixels_first(ranked, own)
    return RankedCover(pick_cells(grid, candidates[ranked]), features_of(ranked), known)


def pick_diverse(
    pool: PixelPool,
    score: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32] | FeatureCells,
    k: int,
    config: QueryConfig,
    rng: np.random.Generator,
) -> Pick:
    """The k points of an image by RDS, fewer where fewer pixels are free; see `rank_diverse`."""
    return rank_diverse(pool, score, features, k, config, rng).first(k)


def _positions(
    pixels: npt.NDArray[np.float64],
    features_of: Callable[[Indices], npt.NDArray[np.float32]],
    pool: PixelPool,
    config: QueryConfig,
) -> npt.NDArray[np.float64]:
    """Candidates [N, D] in the space whose Euclidean distance is sigma (Eq. 9).

    For the space `both`, sigma^2 = (1 - w) |x - y|^2 / diagonal^2 + w |f(x) - f(y)|^2 / 4, with unit feature
    vectors f, so that each part reaches 1 at most.
    """
    if config.cover_space == "image":
        return pixels  # not scaled: whole numbers have exact distances
    vectors = unit_vectors(features_of(np.arange(len(pixels))))
    if config.cover_space == "features":
        return vectors
    weight, diagonal = config.cover_weight, float(np.hypot(pool.height, pool.width))
    in_image = np.sqrt(1 - weight) / diagonal * pixels
    in_features = np.sqrt(weight) / 2 * vectors
    return np.concatenate([in_image, in_features], axis=1)


def fresh_superpixels_first(order: Indices, superpixels: npt.NDArray[np.int32]) -> Indices:
    """`order` with the first pixel of each superpixel before the others; superpixel -1 is none."""
    _, first = np.unique(superpixels, return_index=True)
    fresh = np.zeros(len(order), bool)
    fresh[first] = True
    fresh |= superpixels < 0
    return np.concatenate([order[fresh], order[~fresh]])


def pick_cells(grid: GridPixels, chosen: Indices) -> Pick:
    """The pixels under kept cells of the grid, given as flat indices into [kept rows, kept columns]."""
    rows, columns = np.divmod(chosen, len(grid.cell_columns))
    return Pick(
        (grid.cell_rows[rows], grid.cell_columns[columns]),
        np.stack([grid.columns[columns], grid.rows[rows]], axis=1),
    )
