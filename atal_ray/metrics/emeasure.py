"""Enhanced-alignment measure of a saliency map."""

import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.histogram import Counts, Mask, Saliency, Tally, tally

EPSILON = float(np.finfo(np.float64).eps)

Curve = NDArray[np.float64]


def e_curve(saliency: Saliency, mask: Mask) -> Curve:
    """E of the binary maps {floor(255 x) >= k}, float64 [256] for k = 0..255.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W].

    Raises:
        DataError: see `check_pair`.
    """
    t = tally(saliency, mask)
    return e_of(t.at_least, t)


def e_adaptive(saliency: Saliency, mask: Mask) -> float:
    """E of the binary map {x >= min(2 mean(x), 1)}; arguments and errors as `e_curve`."""
    t = tally(saliency, mask)
    return e_of(t.adaptive, t).item()


def e_soft(saliency: Saliency, mask: Mask) -> float:
    """E of the binary map {map > 0}: what Fan's MATLAB function gives for a soft map without a threshold.

    Some published tables hold it (inferred); it favours nearly binary maps and compares with nothing else.
    """
    t = tally(saliency, mask)
    return e_of(t.nonzero, t).item()


def e_of(positives: Counts, t: Tally) -> Curve:
    """E = 1/(N-1) sum ((phi + 1)^2) / 4, phi = 2 a b / (a^2 + b^2), a, b the map and mask minus their means.

    Fan et al., IJCAI 2018, with the conventions of PySODMetrics 1.6.2: an empty mask scores the share of
    pixels left out of the binary map, a full mask the share taken in, over N - 1. So E may exceed 1 by
    1/(N-1). An image of one pixel is divided by 1, where the reference divides by nearly 0.

    Args:
        positives: [2, T] background and salient pixels in each of T binary maps.
        t: the image.

    Returns:
        float64 [T].
    """
    pixels, taken = t.pixels, positives.sum(axis=0)
    others = max(pixels - 1, 1) + EPSILON
    if t.salient == 0 or t.background == 0:
        matched = taken if t.salient else pixels - taken
        whole: Curve = matched / others
        return whole
    # axes: background and object of the mask, outside and inside the binary map, threshold
    area = np.array([[[t.background]], [[t.salient]]])
    parts = np.stack([area[:, 0] - positives, positives], axis=1)
    shares = np.stack([-taken / pixels, 1 - taken / pixels])
    sides = np.array([-t.salient / pixels, 1 - t.salient / pixels])[:, None, None]
    alignment = 2 * shares * sides / (shares**2 + sides**2 + EPSILON)
    enhanced: Curve = ((alignment + 1) ** 2 / 4 * parts).sum(axis=(0, 1)) / others
    return enhanced
