"""The members of a growing cover, and float32 distances of candidates to them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.distances import Array, dimensions_of, squared_euclidean

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

ROWS = 2048  # candidates of a block: its product with MEMBERS members stays in the processor's cache
MEMBERS = 256
PRODUCT = ROWS * MEMBERS


def products(factors: Matrix, points: Matrix) -> Matrix:
    """x.p - |p|^2 / 2 in float32 for members p and candidates x, [P, B].

    Args:
        factors: p and -|p|^2 / 2 [P, D + 1].
        points: x and 1 [B, D + 1].
    """
    return np.asarray(factors @ points.T)


class Members:
    """The members of the cover so far: float32 factors for matrix products, and their indices."""

    def __init__(self, positions: Array, m: int, first: Sequence[int]) -> None:
        self._positions, self._centre = positions, positions[first[0]]
        self._factors = np.empty((m, positions.shape[1] + 1), np.float32)
        self._indices = np.empty(m, np.int64)
        self.count = 0
        for index in first:
            self.add(index)

    def add(self, index: int) -> None:
        """Add a candidate to the cover."""
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
        """Candidates relative to the first member, with a last column of 1, float32 [B, D + 1]."""
        points = np.ones((len(rows), self._factors.shape[1]), np.float32)
        np.subtract(self._positions[rows], self._centre, out=points[:, :-1], casting="same_kind")
        return points

    def closeness(self, points: Matrix, since: int) -> Matrix:
        """Largest x.p - |p|^2 / 2 over the members p from number `since` on.

        |x|^2 minus twice that is the squared distance to the nearest of them.

        Args:
            points: x, from `centred` [B, D + 1].
            since: number of the first member that counts.
        """
        found = np.full(len(points), -np.inf, np.float32)
        for first in range(since, self.count, MEMBERS):
            factors = self._factors[first : min(first + MEMBERS, self.count)]
            np.maximum(found, products(factors, points).max(axis=0), out=found)
        return found

    def exact(self, rows: Indices, points: Matrix, since: int, error: float) -> NDArray[np.float64]:
        """Squared distance in float64 to the nearest member from number `since` on.

        Only members that may be the nearest, given the error of the float32 products, are measured.

        Args:
            rows: candidates [B].
            points: the same candidates from `centred`.
            since: number of the first member that counts.
            error: bound of the error of a float32 squared distance.
        """
        nearest = np.full(len(rows), np.inf)
        step = max(MEMBERS, PRODUCT // len(rows))
        for first in range(since, self.count, step):
            last = min(first + step, self.count)
            closeness = products(self._factors[first:last], points)
            # Closeness is half of a squared distance: two that may be equal differ by at most 2 * error / 2.
            member, row = np.nonzero(closeness >= closeness.max(axis=0) - error)
            between = squared_euclidean(
                dimensions_of(self._positions[rows[row]]),
                dimensions_of(self._positions[self._indices[first + member]]),
            )
            np.minimum.at(nearest, row, between)
        return nearest
