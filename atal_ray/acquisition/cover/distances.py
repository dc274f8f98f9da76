"""Squared distances in float64, which decide between candidates, and the error of float32 products."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError

Array = NDArray[np.floating[Any]]
OnProgress = Callable[[float], None]
"""Callback of a long computation: the number of members chosen so far, or their share of all."""


def ignore_progress(_: float) -> None:
    """Ignore progress."""


def dimensions_of(rows: Array) -> NDArray[np.float64]:
    """[N, D] rows as contiguous [D, N] float64."""
    return np.ascontiguousarray(rows.T, dtype=np.float64)


def squared_euclidean(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """|x - p|^2 in float64, summed over one dimension after the other.

    The bits do not depend on the number of threads or on the other rows of the call, unlike those of a matrix
    product.

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


FLOAT32, FLOAT64 = 2.0**-24, 2.0**-53
"""Unit roundoff u of each type."""


def distance_error(squared_radius: float, dimensions: int, unit: float = FLOAT32) -> float:
    """Upper bound of the error of |x|^2 + |p|^2 - 2 x.p, whatever the order of the sums.

    In float32 the two norms, the product and the last sum add up to less than (4 D + 17) u
    squared_radius, and 8 u squared_radius more where x and p were rounded to float32 themselves. Products
    that underflow add less than D 2^-120. In float64, with its u, the bound is that of the products; a
    `squared_euclidean` to compare them with has an error of its own below the same bound.

    Args:
        squared_radius: no |x|^2 is larger.
        dimensions: D.
        unit: u of the type that is computed in.
    """
    return 6 * (dimensions + 5) * unit * squared_radius + dimensions * 2.0**-120


def require_finite(error: float) -> None:
    """Raise DataError where the error of distances is not finite, as positions then are not."""
    if not np.isfinite(error):
        raise DataError("cover: a position is not finite, or too large for its square; check the features")


def first_members(positions: Array, m: int, start: Sequence[int]) -> list[int]:
    """`start` as the first members of a cover of m candidates; no more than m, and none where N is 0.

    Args:
        positions: [N, D] candidates.
        m: size of the cover.
        start: indices of its first members.

    Raises:
        DataError: positions are no matrix of floating-point numbers, or `start` does not name different
            candidates.
    """
    if positions.ndim != 2 or not np.issubdtype(positions.dtype, np.floating):
        raise DataError(
            f"cover: positions are {positions.dtype} {positions.shape}, "
            "expected floating-point numbers [N, D]"
        )
    first = [int(index) for index in start][:m]
    if min(m, len(positions)) == 0:
        return []
    if not first or len(set(first)) < len(first) or not all(0 <= index < len(positions) for index in first):
        raise DataError(
            f"cover: start {first} must name one or more different candidates from 0 to {len(positions) - 1}"
        )
    return first
