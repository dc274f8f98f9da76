"""Greedy k-center over millions of candidates, with the picks of a flat pass that measures every candidate at
every pick.

A candidate's distance to the cover only shrinks, so an old distance is an upper bound. The candidates above a
floor are brought up to date, each with all the picks it has missed in one matrix product, and the greedy
choice runs among them alone until its maximum falls to the floor: no other candidate can be farther. Then the
floor sinks. A candidate whose bound stays below every floor is never looked at again. There is no partition
to build: the bounds order the candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.dataset_budget.blocks import over_blocks
from atal_ray.acquisition.dataset_budget.distances import (
    Array,
    Told,
    dimensions_of,
    first_members,
    rounding,
    silent,
    squared_euclidean,
)
from atal_ray.errors import DataError

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

SHARE = 16  # one candidate in so many is above the first guess of a floor
FEWEST = 4096
ROWS = 2048  # of a block: with one piece of the picks its product stays in the cache
PICKS = 256
PRODUCT = ROWS * PICKS


class Picks:
    """The cover so far, as float32 factors of the products and by index for the fixed form."""

    def __init__(self, positions: Array, m: int, first: Sequence[int]) -> None:
        self._positions, self._centre = positions, positions[first[0]]
        self._factors = np.empty((m, positions.shape[1] + 1), np.float32)
        self._indices = np.empty(m, np.int64)
        self.count = 0
        for index in first:
            self.add(index)

    def add(self, index: int) -> None:
        """Take a candidate into the cover."""
        factors = self._factors[self.count]
        factors[:-1] = self._positions[index] - self._centre
        factors[-1] = -0.5 * float(np.square(factors[:-1], dtype=np.float64).sum())
        self._indices[self.count] = index
        self.count += 1

    @property
    def indices(self) -> Indices:
        """The cover in the order of choice."""
        return self._indices[: self.count]

    def centred(self, rows: Indices) -> Matrix:
        """Candidates around the first pick, with a last column of 1 [B, D + 1]."""
        points = np.ones((len(rows), self._factors.shape[1]), np.float32)
        np.subtract(self._positions[rows], self._centre, out=points[:, :-1], casting="same_kind")
        return points

    def closeness(self, points: Matrix, since: int) -> Matrix:
        """Largest x.p - |p|^2 / 2 over the picks from `since` on, for centred points [B, D + 1]."""
        found = np.full(len(points), -np.inf, np.float32)
        for first in range(since, self.count, PICKS):
            factors = self._factors[first : min(first + PICKS, self.count)]
            np.maximum(found, (factors @ points.T).max(axis=0), out=found)
        return found

    def exact(self, rows: Indices, points: Matrix, since: int, error: float) -> NDArray[np.float64]:
        """Squared distance to the nearest pick from `since` on in the fixed form, which only picks that may
        be nearest need.
        """
        nearest = np.full(len(rows), np.inf)
        step = max(PICKS, PRODUCT // len(rows))
        for first in range(since, self.count, step):
            last = min(first + step, self.count)
            closeness = self._factors[first:last] @ points.T
            pick, row = np.nonzero(closeness >= closeness.max(axis=0) - error)  # halves of squared distances
            between = squared_euclidean(
                dimensions_of(self._positions[rows[row]]),
                dimensions_of(self._positions[self._indices[first + pick]]),
            )
            np.minimum.at(nearest, row, between)
        return nearest


@dataclass
class Band:
    """Candidates above the floor, up to date."""

    rows: Indices
    points: Matrix
    """Centred, with a last column of 1 [B, D + 1]."""
    squares: Matrix
    nearest: Matrix
    """Squared distance to the cover; -inf for a pick."""

    def __post_init__(self) -> None:
        self._exact = np.full(len(self.rows), np.inf)
        self._known = np.zeros(len(self.rows), np.int64)

    def extend(self, picks: Picks, m: int, floor: float, error: float) -> None:
        """Pick the farthest again and again until there are m, or none is surely farther than the candidates
        below the floor.
        """
        while picks.count < m and len(self.rows) and float(self.nearest.max()) > floor + 2 * error:
            chosen = self._farthest(picks, error)
            if self._exact[chosen] == 0:  # what is left repeats the cover, so it follows as it stands
                for row in np.sort(self.rows[self.nearest > -np.inf])[: m - picks.count]:
                    picks.add(int(row))
                return
            picks.add(int(self.rows[chosen]))
            near = self.squares - 2 * picks.closeness(self.points, picks.count - 1)
            np.minimum(self.nearest, near, out=self.nearest)
            self.nearest[chosen] = -np.inf

    def _farthest(self, picks: Picks, error: float) -> int:
        """The farthest candidate by the fixed form, the first of equal ones: rounding cannot hide it from the
        window.
        """
        window = np.flatnonzero(self.nearest >= float(self.nearest.max()) - 2 * error)
        if len(window) == 1:
            return int(window[0])
        for since in np.unique(self._known[window]):
            stale = window[self._known[window] == since]
            for part in (stale[i : i + ROWS] for i in range(0, len(stale), ROWS)):
                found = picks.exact(self.rows[part], self.points[part], int(since), error)
                self._exact[part] = np.minimum(self._exact[part], found)
        self._known[window] = picks.count
        tied = window[self._exact[window] == self._exact[window].max()]
        return int(tied[self.rows[tied].argmin()])


class Bounds:
    """An upper bound of every candidate's squared distance to the cover, and how many picks it knows of."""

    def __init__(self, positions: Array, m: int, start: int, threads: int) -> None:
        self._threads = threads
        self.nearest = np.empty(len(positions), np.float32)
        self.known = np.ones(len(positions), np.min_scalar_type(m))

        def measure(first: int, last: int) -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # said below as an error
                offset = (positions[first:last] - positions[start]).astype(np.float32, copy=False)
                np.vecdot(offset, offset, out=self.nearest[first:last])

        over_blocks(measure, len(positions), ROWS, threads)
        self.error = rounding(float(self.nearest.max()), positions.shape[1])

    def floor(self) -> float:
        """A value that a small share of the bounds exceeds, and the largest one surely."""
        sample = self.nearest[:: max(1, len(self.nearest) // 100_000)]
        share = min(1.0, max(FEWEST / len(self.nearest), 1 / SHARE))
        rank = int(len(sample) * (1 - share))
        return float(np.float32(min(np.partition(sample, rank)[rank], self.nearest.max() - 4 * self.error)))

    def band(self, picks: Picks, floor: float) -> Band:
        """The candidates above the floor after the picks that they have missed."""
        rows = np.flatnonzero(self.nearest > floor)
        rows = rows[
            self.known[rows].argsort(kind="stable")
        ]  # so that a block has missed about the same picks

        def refresh(first: int, last: int) -> tuple[Indices, Matrix, Matrix, Matrix]:
            block = rows[first:last]
            points = picks.centred(block)
            squares = np.vecdot(points[:, :-1], points[:, :-1])
            near = np.minimum(
                self.nearest[block], squares - 2 * picks.closeness(points, int(self.known[block[0]]))
            )
            self.nearest[block] = near
            above = near > floor
            return block[above], points[above], squares[above], near[above]

        blocks = over_blocks(refresh, len(rows), ROWS, self._threads)
        self.known[rows] = picks.count
        return Band(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def cover_kcenter_lazy(
    positions: Array, m: int, start: Sequence[int] = (0,), threads: int = 1, told: Told = silent
) -> Indices:
    """Cover set V by greedy k-center (the aim of Eq. 9 in the text), as `rds.cover_kcenter` chooses it, for
    large sets.

    Distances are float32 products with a bound on their rounding. Where that leaves more than one candidate
    for the farthest, these are measured again as `rds.cover_kcenter` does it, in float64 over one dimension
    after the other, so that the picks are the same. Beyond the positions it holds 4 bytes a candidate and a
    count, 4 D bytes a pick, 16 bytes for each candidate that is looked at again at a floor, and a copy of
    those still above it: mostly hundreds, or as many as are equally far within rounding.

    Args:
        positions: [N, D] candidates, float32 where they are many.
        m: |V|; all N candidates when there are fewer.
        start: the first members of V, different ones.
        threads: blocks at a time; the picks do not depend on it. NumPy's own products should have one thread
            (threadpool_limits, OPENBLAS_NUM_THREADS=1): theirs are too small to share.
        told: called with the number of picks so far, again and again.

    Returns:
        Distinct indices in the order of choice; the first of equally far candidates is taken.

    Raises:
        DataError: positions are not a finite matrix of floating-point numbers, or `start` does not name
            different candidates.
    """
    first = first_members(positions, m, start)
    m = min(m, len(positions))
    if m == 0:
        return np.empty(0, np.int64)
    bounds = Bounds(positions, m, first[0], threads)
    if not np.isfinite(bounds.error):
        raise DataError("cover: a position is not finite, or too large for its square; check the features")
    picks = Picks(positions, m, first)
    bounds.nearest[first] = -np.inf
    while picks.count < m:
        floor = bounds.floor()
        band = bounds.band(picks, floor)
        band.extend(picks, m, floor, bounds.error)
        bounds.nearest[band.rows], bounds.known[band.rows] = band.nearest, picks.count
        told(picks.count)
    return picks.indices
