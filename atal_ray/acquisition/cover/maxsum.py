"""Algorithm 1 as printed over millions of candidates, with exactly the members that `rds.cover_maxsum`
chooses.

The sum of distances to the cover grows with every member, so an old sum is no upper bound and every candidate
has to be measured: each member is one pass over the positions. A pass adds float32 distances that are rounded
up, whose sum is never below the true one. The few candidates whose sums may be the largest are then measured
in float64, as `rds.cover_maxsum` measures them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.blocks import over_blocks
from atal_ray.acquisition.cover.distances import (
    Array,
    OnProgress,
    dimensions_of,
    distance_error,
    first_members,
    ignore_progress,
    require_finite,
    squared_euclidean,
)
from atal_ray.acquisition.cover.products import row_products
from atal_ray.config.resources import Index

Indices = NDArray[np.int64]

ROWS = 32768  # candidates of a block: its distances stay in the processor's cache
PAIRS = 2**19  # distances measured in float64 at a time


class Sums:
    """The sum of each candidate's distances to the cover: an upper bound for all, in float64 where needed."""

    def __init__(self, positions: Array, m: int, threads: int, backend: Index) -> None:
        self._positions, self._threads, self._products = positions, threads, row_products(backend)
        self._points = np.ascontiguousarray(positions, np.float32)
        self._squares = np.empty(len(positions), np.float32)
        self._upper = np.zeros(len(positions))
        self._exact, self._known = np.zeros(len(positions)), np.zeros(len(positions), np.int32)
        self._picks = np.empty((positions.shape[1], m))
        self.indices: list[int] = []
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks `error` instead
            np.vecdot(self._points, self._points, out=self._squares)
        # Twice the error of a squared distance: square root and sum are rounded too.
        self.error = 2 * distance_error(float(self._squares.max()), positions.shape[1])

    def add(self, index: int) -> list[tuple[float, int]]:
        """Add a candidate to the cover.

        Returns:
            For each block the largest upper bound of a sum, and the candidate that has it.
        """
        factor = -2 * self._points[index]
        constant = np.float32(self._squares[index] + self.error)
        self._picks[:, len(self.indices)] = self._positions[index]
        self.indices.append(index)
        self._upper[index] = -np.inf

        def measure(first: int, last: int) -> tuple[float, int]:
            distance = self._products(self._points[first:last], factor)
            distance += self._squares[first:last]
            distance += constant
            np.sqrt(distance, out=distance)
            upper = self._upper[first:last]
            upper += distance
            best = int(upper.argmax())
            return float(upper[best]), first + best

        return over_blocks(measure, len(self._upper), ROWS, self._threads)

    def largest(self, blocks: list[tuple[float, int]]) -> int:
        """The candidate with the largest sum in float64, the first of equal ones.

        Only candidates whose upper bound reaches the sum of a likely one are measured.

        Args:
            blocks: what `add` returned.
        """
        _, likely = max(blocks)
        offset = self._picks[:, : len(self.indices)] - self._positions[likely][:, None]
        total = float(np.sqrt(np.einsum("dp,dp->p", offset, offset)).sum())
        least = total * (1 - 1e-9)  # below the sum of `likely` in any order of its terms
        parts = [i * ROWS for i, (top, _) in enumerate(blocks) if top >= least]
        above = [first + np.flatnonzero(self._upper[first : first + ROWS] >= least) for first in parts]
        window = np.concatenate(above)
        return likely if len(window) == 1 else int(window[self._measure(window).argmax()])

    def _measure(self, rows: Indices) -> NDArray[np.float64]:
        """Sums [N] in float64 of the distances to all members, added in the order of their choice."""
        count = len(self.indices)
        for since in np.unique(self._known[rows]):
            stale = rows[self._known[rows] == since]
            step = max(1, PAIRS // max(1, count - since))
            for part in (stale[i : i + step] for i in range(0, len(stale), step)):
                points = dimensions_of(self._positions[part])[:, :, None]
                terms = np.sqrt(squared_euclidean(points, self._picks[:, None, since:count]))
                sums = np.add.accumulate(np.column_stack([self._exact[part], terms]), axis=1)
                self._exact[part] = sums[:, -1]
        self._known[rows] = count
        found: NDArray[np.float64] = self._exact[rows]
        return found


def cover_maxsum_scan(
    positions: Array,
    m: int,
    start: Sequence[int] = (0,),
    threads: int = 1,
    backend: Index = "numpy",
    on_progress: OnProgress = ignore_progress,
) -> Indices:
    """Cover set V by Algorithm 1 as printed, the members of `rds.cover_maxsum`, for millions of candidates.

    Memory beyond the positions: 12 bytes a candidate and 16 D bytes a member.

    Args:
        positions: [N, D] candidates, float32 where they are many (others are copied).
        m: |V|; all N candidates when there are fewer.
        start: the first members of V, different ones.
        threads: blocks at a time; the members do not depend on it.
        backend: what computes the products; the members do not depend on it.
        on_progress: called with the number of members after each one.

    Returns:
        Distinct indices in the order of choice; the first of equal sums is taken.

    Raises:
        ConfigError: faiss is not installed.
        DataError: positions are not a finite matrix of floating-point numbers, or `start` does not name
            different candidates.
    """
    first = first_members(positions, m, start)
    m = min(m, len(positions))
    if m == 0:
        return np.empty(0, np.int64)
    sums = Sums(positions, m, threads, backend)
    require_finite(sums.error)
    for index in first:
        blocks = sums.add(index)
    while len(sums.indices) < m:
        blocks = sums.add(sums.largest(blocks))
        on_progress(len(sums.indices))
    return np.array(sums.indices, dtype=np.int64)
