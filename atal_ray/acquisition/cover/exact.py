"""The candidate that is farthest from the cover in float64, among those that rounding leaves open."""

import numpy as np

from atal_ray.acquisition.cover.members import ROWS, Indices, Matrix, Members


class ExactDistances:
    """Squared distances to the cover in float64, of the candidates that have been asked about.

    Args:
        candidates: how many there are.
        error: bound of the error of a float32 squared distance.
    """

    def __init__(self, candidates: int, error: float) -> None:
        self.error = error
        self._squares = np.full(candidates, np.inf)
        self._known = np.zeros(candidates, np.int64)

    def of(self, candidate: int) -> float:
        """The distance of a candidate when it was last asked about; infinite if it never was."""
        return float(self._squares[candidate])

    def farthest(self, members: Members, window: Indices, points: Matrix, rows: Indices | None = None) -> int:
        """The candidate of a window that is farthest from the cover, of equal ones the first row.

        Args:
            members: the cover.
            window: candidates of which one is the farthest [B].
            points: the same, from `Members.centred` [B, D + 1].
            rows: which rows of the positions they are [B]; those of the window unless given.
        """
        rows = window if rows is None else rows
        for since in np.unique(self._known[window]):
            stale = np.flatnonzero(self._known[window] == since)
            for part in (stale[i : i + ROWS] for i in range(0, len(stale), ROWS)):
                found = members.exact(rows[part], points[part], int(since), self.error)
                self._squares[window[part]] = np.minimum(self._squares[window[part]], found)
        self._known[window] = members.count
        squares = self._squares[window]
        tied = np.flatnonzero(squares == squares.max())
        return int(window[tied[rows[tied].argmin()]])
