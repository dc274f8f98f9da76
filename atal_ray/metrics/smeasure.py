"""Structure measure of a saliency map."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.histogram import LEVELS, Counts, Mask, UInt8Map, check_pair, count_codes, joint_codes, stretch

ALPHA = 0.5
EPSILON = float(np.finfo(np.float64).eps)

Levels = NDArray[np.int64]


def s_measure(saliency: UInt8Map, mask: Mask) -> float:
    """S = max(0, 0.5 So + 0.5 Sr), object and region similarity of the min-max normalised map x and the mask g.

    Fan et al., ICCV 2017, with the conventions of PySODMetrics 1.6.2. An empty mask scores 1 - mean(x), a full one mean(x).
    Two deviations, both on rare inputs: a quadrant without pixels weighs nothing, where the reference returns NaN; a quadrant
    on which map and mask are both constant scores 1, where rounding can turn the reference's 1 into 0.

    Args:
        saliency: uint8 [H, W].
        mask: bool [H, W].

    Raises:
        DataError: see `check_pair`.
    """
    return s_measure_of(quadrant_histograms(saliency, mask))


def quadrant_histograms(saliency: UInt8Map, mask: Mask, name: str = "saliency map") -> Counts:
    """Joint histograms of the four quadrants around the mask's centroid: int64 [4, 2, 256]; their sum is the image's.

    The split lies after the row and column nearest the centroid (halves to even). Without a centroid the image is one quadrant.

    Raises:
        DataError: see `check_pair`.
    """
    check_pair(saliency, mask, name)
    row, column = _centroid(mask)
    codes = joint_codes(saliency, mask)
    parts = (codes[:row, :column], codes[:row, column:], codes[row:, :column], codes[row:, column:])
    return np.stack([count_codes(part) for part in parts])


def s_measure_of(quadrants: Counts) -> float:
    """The same from the quadrants' histograms [4, 2, 256].

    Means and variances come from integer moments, so a constant region has variance 0, not a rounding error.
    """
    counts = quadrants.sum(axis=0)
    offset, span = stretch(counts)
    levels = np.arange(LEVELS) - offset
    pixels, salient = int(counts.sum()), int(counts[1].sum())
    total = int(counts.sum(axis=0) @ levels)
    if salient == 0:
        return (span * pixels - total) / (span * pixels)
    if salient == pixels:
        return total / (span * pixels)
    score = ALPHA * _object_similarity(counts, levels, span) + (1 - ALPHA) * _region_similarity(quadrants, levels, span)
    return max(0.0, score)


def _centroid(mask: Mask) -> tuple[int, int]:
    """Rows above and columns left of the split."""
    height, width = mask.shape
    rows, columns = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    salient = int(rows.sum())
    if salient == 0:
        return height, width
    return round(int(rows @ np.arange(height)) / salient) + 1, round(int(columns @ np.arange(width)) / salient) + 1


def _object_similarity(counts: Counts, levels: Levels, span: int) -> float:
    """So = y O(x on the object) + (1 - y) O(1 - x on the background), y the object's share of the image."""
    background, salient = counts
    share = int(salient.sum()) / int(counts.sum())
    return share * _uniformity(salient, levels, span) + (1 - share) * _uniformity(background, span - levels, span)


def _uniformity(counts: Counts, levels: Levels, span: int) -> float:
    """O = 2 m / (m^2 + 1 + sd), with the mean m and the sample deviation sd of levels / span."""
    pixels, first, second = int(counts.sum()), int(counts @ levels), int(counts @ levels**2)
    mean = first / (pixels * span)
    deviation = sqrt((pixels * second - first**2) / (pixels * max(pixels - 1, 1))) / span
    return 2 * mean / (mean**2 + 1 + deviation + EPSILON)


def _region_similarity(quadrants: Counts, levels: Levels, span: int) -> float:
    """Sr: the quadrants' similarities, weighted by area."""
    areas = [int(quadrant.sum()) for quadrant in quadrants]
    weighted = [area * _quadrant_similarity(part, levels, span) for area, part in zip(areas, quadrants, strict=True) if area]
    return sum(weighted) / sum(areas)


def _quadrant_similarity(counts: Counts, levels: Levels, span: int) -> float:
    """4 mx mg sxg / ((mx^2 + mg^2)(sxx + sgg)) with sample variances; 1 where both parts are 0, 0 where only the upper is."""
    pixels, salient = int(counts.sum()), int(counts[1].sum())
    both = counts.sum(axis=0)
    first, second, shared = int(both @ levels), int(both @ levels**2), int(counts[1] @ levels)
    pairs = pixels * max(pixels - 1, 1)
    mean, share = first / (pixels * span), salient / pixels
    variance = (pixels * second - first**2) / (pairs * span**2)
    mask_variance = salient * (pixels - salient) / pairs
    covariance = (pixels * shared - first * salient) / (pairs * span)
    upper = 4 * mean * share * covariance
    lower = (mean**2 + share**2) * (variance + mask_variance)
    if upper == 0:
        return 1.0 if lower == 0 else 0.0
    return upper / (lower + EPSILON)
