"""Precision-recall curve of a saliency map, and the classic maximum F-measure of a test set."""

import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.histogram import LEVELS, Counts, Mask, UInt8Map, joint_histogram, stretch

BETA_SQUARED = 0.3

Curve = NDArray[np.float64]


def pr_curve(saliency: UInt8Map, mask: Mask) -> tuple[Curve, Curve]:
    """Precision TP/(TP+FP) and recall TP/(TP+FN) of {floor(255 x) >= k} for k = 0..255, x the min-max normalised map.

    Conventions of PySODMetrics 1.6.2, but indexed by the threshold k, so in ascending order. Both are 0 where TP is 0:
    an empty mask gives 0 everywhere, for a perfect empty map too.

    Args:
        saliency: uint8 [H, W].
        mask: bool [H, W].

    Returns:
        Two float64 arrays [256].

    Raises:
        DataError: see `check_pair`.
    """
    return pr_curve_of(joint_histogram(saliency, mask))


def pr_curve_of(counts: Counts) -> tuple[Curve, Curve]:
    """The same from the joint histogram [2, 256]."""
    at_least = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    first = np.searchsorted(_stretched_levels(counts), np.arange(LEVELS))  # the lowest level that reaches threshold k
    background, salient = at_least[:, first]
    return salient / np.maximum(background + salient, 1), salient / max(int(salient[0]), 1)


def max_f(precision: Curve, recall: Curve) -> float:
    """Classic maxF = max_k 1.3 P R / (0.3 P + R) of the dataset's MEAN precision and recall (beta^2 = 0.3).

    Achanta et al., CVPR 2009, as scored by F3Net and MINet. Averaging each image's own F curve is another number, about 0.02 lower.

    Args:
        precision: float64 [256], the mean over images at each threshold.
        recall: float64 [256].
    """
    weighted = BETA_SQUARED * precision + recall
    scores = (1 + BETA_SQUARED) * precision * recall / np.where(weighted == 0, 1, weighted)
    return float(scores.max())


def _stretched_levels(counts: Counts) -> NDArray[np.int64]:
    """floor(255 x) of each level, [256]; in the reference's order of operations, whose rounding decides some floors."""
    offset, span = stretch(counts)
    values = np.arange(LEVELS) / (LEVELS - 1)
    low, high = values[offset], values[offset + span]
    normalised: Curve = ((values - low) / (high - low)).clip(0, 1)  # levels that the map does not have may lie outside
    return (normalised * (LEVELS - 1)).astype(np.int64)
