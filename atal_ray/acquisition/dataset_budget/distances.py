"""Squared distances: the fixed form that decides between candidates, and how far a float32 product may be
from it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError

Array = NDArray[np.floating[Any]]
Told = Callable[[float], None]
"""Takes how far a long cover is: its picks, or the share of them."""


def silent(_: float) -> None:
    """Tell nobody."""


def dimensions_of(rows: Array) -> NDArray[np.float64]:
    """[N, D] rows as contiguous [D, N] float64."""
    return np.ascontiguousarray(rows.T, dtype=np.float64)


def squared_euclidean(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """|x - p|^2 in float64, one dimension after the other: the same bits with any number of threads and any
    rows beside them.

    Args:
        points: [D, ...], dimensions first.
        others: [D, ...], of a shape that broadcasts with `points`.

    Returns:
        The shape that the two broadcast to, without D.
    """
    total = np.zeros(np.broadcast_shapes(points.shape[1:], others.shape[1:]))
    for values, other in zip(points, others, strict=True):
        offset = values - other
        total += offset * offset
    return total


def rounding(squared_radius: float, dimensions: int) -> float:
    """Largest error of a squared distance |x|^2 + |p|^2 - 2 x.p in float32, whatever the order of the sums.

    With u = 2^-24 the two norms, the product and the last sum add up to less than (4 D + 17) u
    squared_radius, and 8 u squared_radius more where x and p were rounded to float32 themselves.

    Args:
        squared_radius: no |x|^2 is larger.
        dimensions: D.
    """
    return (
        6 * (dimensions + 5) * 2.0**-24 * squared_radius + dimensions * 2.0**-120
    )  # the latter where products underflow


def first_members(positions: Array, m: int, start: Sequence[int]) -> list[int]:
    """The first members of a cover of m candidates.

    Raises:
        DataError: positions are no matrix of floating-point numbers, or `start` does not name different
            candidates.
    """
    if positions.ndim != 2 or not np.issubdtype(positions.dtype, np.floating):
        raise DataError(
            f"cover: positions are {positions.dtype} {positions.shape}, expected floating-point numbers [N, D]"
        )
    first = [int(index) for index in start][:m]
    if min(m, len(positions)) == 0:
        return []
    if not first or len(set(first)) < len(first) or not all(0 <= index < len(positions) for index in first):
        raise DataError(
            f"cover: start {first} must name one or more different candidates from 0 to {len(positions) - 1}"
        )
    return first
