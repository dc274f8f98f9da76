"""Passes over a whole matrix in float32, blocks over threads: what the benchmarks of RDS compare with, and a
proof in float64.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.blocks import over_blocks

ROWS = 32768

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]


def reads(x: Matrix, threads: int) -> dict[str, Callable[[], object]]:
    """Plain reads of the whole matrix; the fastest counts."""
    ones = np.ones(x.shape[1], np.float32)
    return {
        "read: maximum": lambda: over_blocks(lambda a, b: x[a:b].max(), len(x), ROWS, threads),
        "read: product": lambda: over_blocks(lambda a, b: x[a:b] @ ones, len(x), ROWS, threads),
    }


def flat_kcenter(x: Matrix, m: int, threads: int) -> Indices:
    """The flat pass: float32 |x|^2 + |p|^2 - 2 x.p of every candidate at every pick, read once, in blocks."""
    squares, nearest = np.vecdot(x, x), np.full(len(x), np.inf, np.float32)
    chosen: list[int] = []
    pick = 0

    def measure(first: int, last: int) -> tuple[float, int]:
        distance = np.vecdot(x[first:last], -2 * x[pick])
        distance += squares[first:last]
        distance += squares[pick]
        np.minimum(nearest[first:last], distance, out=nearest[first:last])
        best = int(nearest[first:last].argmax())
        return float(nearest[first + best]), -first - best

    while len(chosen) < m:
        chosen.append(pick)
        nearest[pick] = -np.inf
        pick = -max(over_blocks(measure, len(x), ROWS, threads))[1]
    return np.array(chosen)


def farther(x: Matrix, picks: Indices, threads: int) -> float:
    """Largest relative excess of any candidate's squared distance to the cover, in float64, over that of the
    candidate picked.
    """
    chosen = x[picks].astype(np.float64) - x[picks[0]]
    norms = (chosen**2).sum(axis=1)

    def measure(first: int, last: int) -> NDArray[np.float64]:
        points = x[first:last].astype(np.float64) - x[picks[0]]
        squared = norms[:, None] + (points**2).sum(axis=1) - 2 * chosen @ points.T
        np.minimum.accumulate(squared, axis=0, out=squared)
        farthest: NDArray[np.float64] = squared.max(axis=1)
        return farthest

    most = np.max(over_blocks(measure, len(x), 2048, threads), axis=0)[:-1]
    apart = norms[:, None] + norms - 2 * chosen @ chosen.T
    own = np.array([apart[i, :i].min() for i in range(1, len(picks))])
    return float((most / own - 1).max())
