"""The candidate set: the most uncertain K % (`query.top_percent`) of an image's pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError, DivergedError


def _largest(values: NDArray[np.floating[Any]], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The n largest values: indices above the n-th, indices equal to it, and how many of those are needed."""
    threshold = np.partition(values, len(values) - n)[len(values) - n]
    above = np.flatnonzero(values > threshold)
    return above, np.flatnonzero(values == threshold), n - len(above)


def candidate_count(pixels: int, top_percent: float, k: int) -> int:
    """K % of an image's pixels, rounded down, but at least k: an image may be tiny.

    Args:
        pixels: of the image.
        top_percent: K, in [0, 100].
        k: points that are to be chosen among them.
    """
    return max(1, k, int(pixels * top_percent / 100))


def candidate_set(
    score: NDArray[np.floating[Any]],
    free: NDArray[np.bool_],
    count: int,
    tie: NDArray[np.floating[Any]],
) -> NDArray[np.int64]:
    """The most uncertain pixels that may still be asked for, most uncertain first.

    Pixels of equal score are ordered by `tie`, smallest first, not by position: where the score is the same
    everywhere, the set must not come from one corner.

    Args:
        score: [H', W'] uncertainty, larger is more uncertain.
        free: [H', W'], False for labelled pixels.
        count: pixels of the set, fewer only when fewer are free; see `candidate_count`.
        tie: [H', W'] seeded random numbers.

    Returns:
        Flat indices into [H', W'], int64.

    Raises:
        DataError: the maps differ in shape.
        DivergedError: a score is not finite.
    """
    if not (score.shape == free.shape == tie.shape):
        raise DataError(
            f"candidate set: score {score.shape}, free {free.shape} and tie {tie.shape} must have one shape"
        )
    if not np.isfinite(score).all():
        raise DivergedError(
            "candidate set: a score is not finite; "
            "the network predicts NaN, so start another campaign with a lower train.lr-max"
        )
    pixels = np.flatnonzero(free)
    scores, ties = score.ravel()[pixels], tie.ravel()[pixels]
    n = min(count, len(pixels))
    if n == 0:
        return pixels
    above, equal, wanted = _largest(scores, n)
    # Sort only what can be kept: where all scores are the same, every pixel is in `equal`.
    first, last, _ = _largest(-ties[equal], wanted)
    kept = np.concatenate([above, equal[first], equal[last]])
    order = np.lexsort((kept, ties[kept], -scores[kept]))[:n]
    chosen: NDArray[np.int64] = pixels[kept[order]]
    return chosen
