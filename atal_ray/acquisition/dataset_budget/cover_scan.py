"""Algorithm 1 as printed over millions of candidates: every pick reads the matrix once, and is the pick of
float64 sums.

Sums grow with every pick, so an old one is no upper bound that would spare a candidate its distance: each
pick is one pass. It adds float32 distances that are rounded up: a sum of those is never below the true one.
Only the few candidates whose sums may be the largest are measured again, as `rds.cover_maxsum` does it.
"""

from collections.abc import Sequence

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
from atal_ray.acquisition.dataset_budget.products import row_products
from atal_ray.config.resources import Index
from atal_ray.errors import DataError

Indices = NDArray[np.int64]

ROWS = 32768  # of a block: what is done to its distances finds them in the cache
PAIRS = 2**19  # distances measured again at a time


class Sums:
    """The sum of every candidate's distances to the cover: rounded up for all, and in the fixed form where it
    was asked for.
    """

    def __init__(self, positions: Array, m: int, threads: int, backend: Index) -> None:
        self._positions, self._threads, self._products = positions, threads, row_products(backend)
        self._points = np.ascontiguousarray(positions, np.float32)
        self._squares = np.empty(len(positions), np.float32)
        self._upper = np.zeros(len(positions))
        self._exact, self._known = (
            np.zeros(len(positions)),
            np.zeros(len(positions), np.int32),
        )  # memory is taken where written
        self._picks = np.empty((positions.shape[1], m))
        self.indices: list[int] = []
        with np.errstate(over="ignore", invalid="ignore"):  # said below as an error
            np.vecdot(self._points, self._points, out=self._squares)
        # Twice, for the rounding of the square root and of the sums too.
        self.error = 2 * rounding(float(self._squares.max()), positions.shape[1])

    def add(self, index: int) -> list[tuple[float, int]]:
        """Take a candidate into the cover; the largest upper sum of each block and its candidate."""
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
        """The candidate with the largest sum, the first of equal ones: none with a smaller upper sum than
        this sum can be it.
        """
        _, likely = max(blocks)
        offset = self._picks[:, : len(self.indices)] - self._positions[likely][:, None]
        least = float(np.sqrt(np.einsum("dp,dp->p", offset, offset)).sum()) * (
            1 - 1e-9
        )  # whatever the order of the sums
        parts = [i * ROWS for i, (top, _) in enumerate(blocks) if top >= least]
        window = np.concatenate(
            [first + np.flatnonzero(self._upper[first : first + ROWS] >= least) for first in parts]
        )
        return likely if len(window) == 1 else int(window[self._measure(window).argmax()])

    def _measure(self, rows: Indices) -> NDArray[np.float64]:
        """Sums in the fixed form, brought up to date; in the order of the picks, as one candidate after the
        other would add them.
        """
        count = len(self.indices)
        for since in np.unique(self._known[rows]):
            stale = rows[self._known[rows] == since]
            step = max(1, PAIRS // max(1, count - since))
            for part in (stale[i : i + step] for i in range(0, len(stale), step)):
                points = dimensions_of(self._positions[part])[:, :, None]
                terms = np.sqrt(squared_euclidean(points, self._picks[:, None, since:count]))
                self._exact[part] = np.add.accumulate(np.column_stack([self._exact[part], terms]), axis=1)[
                    :, -1
                ]
        self._known[rows] = count
        found: NDArray[np.float64] = self._exact[rows]
        return found


def cover_maxsum_scan(
    positions: Array,
    m: int,
    start: Sequence[int] = (0,),
    threads: int = 1,
    backend: Index = "numpy",
    told: Told = silent,
) -> Indices:
    """Cover set V by Algorithm 1 as printed, as `rds.cover_maxsum` chooses it, for large sets.

    Beyond the positions it holds 12 bytes a candidate and 16 D a pick.

    Args:
        positions: [N, D] candidates, float32 where they are many (others are copied).
        m: |V|; all N candidates when there are fewer.
        start: the first members of V, different ones.
        threads: blocks at a time; the picks do not depend on it.
        backend: what multiplies; nor on this.
        told: called with the number of picks so far, again and again.

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
    if not np.isfinite(sums.error):
        raise DataError("cover: a position is not finite, or too large for its square; check the features")
    for index in first:
        blocks = sums.add(index)
    while len(sums.indices) < m:
        blocks = sums.add(sums.largest(blocks))
        told(len(sums.indices))
    return np.array(sums.indices, dtype=np.int64)
