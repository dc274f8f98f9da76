"""Greedy k-center over millions of candidates, with exactly the members that `rds.cover_kcenter` chooses.

A candidate's distance to the cover only shrinks as the cover grows, so an old distance is an upper bound of
the present one. Candidates whose bound exceeds a threshold, the floor, are measured against all members that
they have missed, in one matrix product. The greedy choice then runs among them alone until the largest
distance falls to the floor: no other candidate can be farther. Then the floor is lowered. Candidates whose
bound stays below every floor are never measured again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atal_ray.acquisition.cover.blocks import over_blocks
from atal_ray.acquisition.cover.distances import (
    Array,
    OnProgress,
    distance_error,
    first_members,
    ignore_progress,
    require_finite,
)
from atal_ray.acquisition.cover.exact import ExactDistances
from atal_ray.acquisition.cover.members import ROWS, Indices, Matrix, Members

SHARE = 16  # the floor is chosen so that one candidate in 16 is above it,
FEWEST = 4096  # but at least so many


@dataclass
class Band:
    """The candidates above the floor, with their distances to the whole cover."""

    rows: Indices
    """Which candidates [B]."""
    points: Matrix
    """Their positions relative to the first member, with a last column of 1 [B, D + 1]."""
    squares: Matrix
    """Squared lengths of these [B]."""
    nearest: Matrix
    """Squared distance to the cover [B]; -inf for a member."""

    def extend(self, members: Members, m: int, floor: float, error: float) -> None:
        """Add the farthest candidate to the cover, again and again.

        It ends when the cover has m members, or when a candidate below the floor may be as far, given the
        error.
        """
        exact = ExactDistances(len(self.rows), error)
        while members.count < m and len(self.rows) and float(self.nearest.max()) > floor + 2 * error:
            chosen = self._farthest(members, exact)
            if exact.of(chosen) == 0:  # all others are duplicates of members: they follow in their order
                for row in np.sort(self.rows[self.nearest > -np.inf])[: m - members.count]:
                    members.add(int(row))
                return
            members.add(int(self.rows[chosen]))
            near = self.squares - 2 * members.closeness(self.points, members.count - 1)
            np.minimum(self.nearest, near, out=self.nearest)
            self.nearest[chosen] = -np.inf

    def _farthest(self, members: Members, exact: ExactDistances) -> int:
        """The candidate farthest from the cover in float64, the first of equal ones.

        All candidates whose float32 distance is within twice the error of the largest are measured in
        float64: the farthest is among them.
        """
        window = np.flatnonzero(self.nearest >= float(self.nearest.max()) - 2 * exact.error)
        if len(window) == 1:
            return int(window[0])
        return exact.farthest(members, window, self.points[window], self.rows[window])


class Bounds:
    """An upper bound of every candidate's squared distance to the cover, and how many members it includes."""

    def __init__(self, positions: Array, m: int, start: int, threads: int) -> None:
        self._threads = threads
        self.nearest = np.empty(len(positions), np.float32)
        self.known = np.ones(len(positions), np.min_scalar_type(m))

        def measure(first: int, last: int) -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # the caller checks `error` instead
                offset = (positions[first:last] - positions[start]).astype(np.float32, copy=False)
                np.vecdot(offset, offset, out=self.nearest[first:last])

        over_blocks(measure, len(positions), ROWS, threads)
        self.error = distance_error(float(self.nearest.max()), positions.shape[1])

    def floor(self) -> float:
        """A value that a small share of the bounds exceeds, and always the largest of them."""
        sample = self.nearest[:: max(1, len(self.nearest) // 100_000)]
        share = min(1.0, max(FEWEST / len(self.nearest), 1 / SHARE))
        rank = int(len(sample) * (1 - share))
        return float(np.float32(min(np.partition(sample, rank)[rank], self.nearest.max() - 4 * self.error)))

    def band(self, members: Members, floor: float) -> Band:
        """Update the bounds above the floor; the candidates that are still above it."""
        rows = np.flatnonzero(self.nearest > floor)
        rows = rows[self.known[rows].argsort(kind="stable")]  # a block has missed about the same members

        def refresh(first: int, last: int) -> tuple[Indices, Matrix, Matrix, Matrix]:
            block = rows[first:last]
            points = members.centred(block)
            squares = np.vecdot(points[:, :-1], points[:, :-1])
            distances = squares - 2 * members.closeness(points, int(self.known[block[0]]))
            near = np.minimum(self.nearest[block], distances)
            self.nearest[block] = near
            above = near > floor
            return block[above], points[above], squares[above], near[above]

        blocks = over_blocks(refresh, len(rows), ROWS, self._threads)
        self.known[rows] = members.count
        return Band(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def cover_kcenter_lazy(
    positions: Array,
    m: int,
    start: Sequence[int] = (0,),
    threads: int = 1,
    on_progress: OnProgress = ignore_progress,
) -> Indices:
    """Cover set V by greedy k-center (Eq. 9), the members of `rds.cover_kcenter`, for millions of candidates.

    Distances are float32 products with a bound of their error. Where more than one candidate may be the
    farthest, these are measured again as `rds.cover_kcenter` measures them, so that the members are the same.
    Memory beyond the positions: 4 bytes and a counter a candidate, 4 D bytes a member, 16 bytes for each
    candidate above a floor, and a copy of the positions of those that stay above it: mostly hundreds, or as
    many as are equally far within the error.

    Args:
        positions: [N, D] candidates, float32 where they are many.
        m: |V|; all N candidates when there are fewer.
        start: the first members of V, different ones.
        threads: blocks at a time; the members do not depend on it. Limit NumPy's own products to one thread
            (threadpool_limits, OPENBLAS_NUM_THREADS=1), for they are too small to be shared out.
        on_progress: called now and then with the number of members so far.

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
    require_finite(bounds.error)
    members = Members(positions, m, first)
    bounds.nearest[first] = -np.inf
    while members.count < m:
        floor = bounds.floor()
        band = bounds.band(members, floor)
        band.extend(members, m, floor, bounds.error)
        bounds.nearest[band.rows], bounds.known[band.rows] = band.nearest, members.count
        on_progress(members.count)
    return members.indices
