"""Structure measure of a saliency map."""

from math import sqrt

import numpy as np

from atal_ray.metrics.histogram import Counts, Levels, Mask, Saliency, Tally, tally

ALPHA = 0.5
EPSILON = float(np.finfo(np.float64).eps)


def s_measure(saliency: Saliency, mask: Mask) -> float:
    """S = max(0, 0.5 So + 0.5 Sr), the object and region similarity of the map x and the mask g.

    An integer map is min-max normalised.

    Fan et al., ICCV 2017, with the conventions of PySODMetrics 1.6.2. An empty mask scores 1 - mean(x), a
    full one mean(x). Two deviations, both on rare inputs: a quadrant without pixels weighs nothing, where the
    reference returns NaN; a quadrant on which map and mask are both constant scores 1, where rounding can
    turn the reference's 1 into 0.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W].

    Raises:
        DataError: see `check_pair`.
    """
    return s_measure_of(tally(saliency, mask))


def s_measure_of(t: Tally) -> float:
    """The same from the tally; integer maps have integer moments: a constant region has variance 0."""
    if t.salient == 0:
        return float((t.span * t.pixels - t.total) / (t.span * t.pixels))
    if t.background == 0:
        return float(t.total / (t.span * t.pixels))
    score = ALPHA * _object_similarity(t) + (1 - ALPHA) * _region_similarity(t)
    return max(0.0, score)


def _object_similarity(t: Tally) -> float:
    """So = y O(x on the object) + (1 - y) O(1 - x on the background), y the object's share of the image."""
    background, salient = t.counts
    share = t.salient / t.pixels
    return share * _uniformity(salient, t.levels, t.span) + (1 - share) * _uniformity(
        background, t.span - t.levels, t.span
    )


def _uniformity(counts: Counts, levels: Levels, span: int) -> float:
    """O = 2 m / (m^2 + 1 + sd), with the mean m and the sample deviation sd of levels / span."""
    mean, variance = _moments(counts, levels, span)
    return 2 * mean / (mean**2 + 1 + sqrt(variance) + EPSILON)


def _region_similarity(t: Tally) -> float:
    """Sr: the quadrants' similarities, weighted by area."""
    areas = t.quadrants.sum(axis=(1, 2)).tolist()
    pairs = zip(areas, t.quadrants, strict=True)
    return float(
        sum(area * _quadrant_similarity(quadrant, t.levels, t.span) for area, quadrant in pairs if area)
        / sum(areas)
    )


def _quadrant_similarity(counts: Counts, levels: Levels, span: int) -> float:
    """4 mx mg sxg / ((mx^2 + mg^2)(sxx + sgg)) with sample variances; 0 / 0 is 1."""
    both, salient = counts.sum(axis=0), int(counts[1].sum())
    pixels = int(both.sum())
    mean, variance = _moments(both, levels, span)
    share, mask_variance = salient / pixels, salient * (pixels - salient) / (pixels * max(pixels - 1, 1))
    covariance = _covariance(counts, levels, span, pixels, salient)
    upper = 4 * mean * share * covariance
    lower = (mean**2 + share**2) * (variance + mask_variance)
    if upper == 0:
        return 1.0 if lower == 0 else 0.0
    return float(upper / (lower + EPSILON))


def _moments(counts: Counts, levels: Levels, span: int) -> tuple[float, float]:
    """Mean and sample variance of levels / span; float levels in two passes: their squares would cancel."""
    pixels, first = int(counts.sum()), (counts @ levels).item()
    if levels.dtype.kind == "i":
        second = int(counts @ levels**2)
        return first / (pixels * span), (pixels * second - first**2) / (pixels * max(pixels - 1, 1) * span**2)
    if np.count_nonzero(counts) == 1:
        return first / pixels, 0.0
    return first / pixels, (counts @ (levels - first / pixels) ** 2).item() / max(pixels - 1, 1)


def _covariance(counts: Counts, levels: Levels, span: int, pixels: int, salient: int) -> float:
    """Sample covariance of levels / span with the mask."""
    first, shared = (counts.sum(axis=0) @ levels).item(), (counts[1] @ levels).item()
    if levels.dtype.kind == "i":
        return float((pixels * shared - first * salient) / (pixels * max(pixels - 1, 1) * span))
    if np.count_nonzero(counts.sum(axis=0)) == 1 or salient in (0, pixels):
        return 0.0
    return float((counts[1] @ (levels - first / pixels)).item() / max(pixels - 1, 1))
