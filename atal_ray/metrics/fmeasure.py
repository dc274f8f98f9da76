"""Precision, recall and F-measure of a saliency map, and the classic maximum F-measure of a test set."""

import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.histogram import Counts, Mask, Saliency, Tally, tally

BETA_SQUARED = 0.3

Curve = NDArray[np.float64]


def pr_curve(saliency: Saliency, mask: Mask) -> tuple[Curve, Curve]:
    """Precision TP/(TP+FP) and recall TP/(TP+FN) of {floor(255 x) >= k}, k = 0..255, x the normalised map.

    Conventions of PySODMetrics 1.6.2, but indexed by the threshold k, so in ascending order. Both are 0 where
    TP is 0: an empty mask gives 0 everywhere, for a perfect empty map too.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W].

    Returns:
        Two float64 arrays [256].

    Raises:
        DataError: see `check_pair`.
    """
    t = tally(saliency, mask)
    return pr_of(t.at_least, t)


def f_curve(saliency: Saliency, mask: Mask) -> Curve:
    """F of the image at each threshold, float64 [256], as `changeable` in PySODMetrics."""
    return f_measure(*pr_curve(saliency, mask))


def f_adaptive(saliency: Saliency, mask: Mask) -> float:
    """F of {x >= min(2 mean(x), 1)} (Achanta et al., CVPR 2009); arguments and errors as `pr_curve`."""
    t = tally(saliency, mask)
    return f_measure(*pr_of(t.adaptive, t)).item()


def pr_of(positives: Counts, t: Tally) -> tuple[Curve, Curve]:
    """Precision and recall, float64 [T], of binary maps with [2, T] background and salient pixels."""
    background, salient = positives
    return salient / np.maximum(background + salient, 1), salient / max(t.salient, 1)


def f_measure(precision: Curve, recall: Curve) -> Curve:
    """F = 1.3 P R / (0.3 P + R), beta^2 = 0.3; 0 where both are 0."""
    weighted = BETA_SQUARED * precision + recall
    return (1 + BETA_SQUARED) * precision * recall / np.where(weighted == 0, 1, weighted)


def max_f(precision: Curve, recall: Curve) -> float:
    """Classic maxF = max_k 1.3 P R / (0.3 P + R) of the dataset's MEAN precision and recall (beta^2 = 0.3).

    Achanta et al., CVPR 2009, as scored by F3Net and MINet. Averaging each image's own F curve is another
    number, about 0.02 lower.

    Args:
        precision: float64 [256], the mean over images at each threshold.
        recall: float64 [256].
    """
    return float(f_measure(precision, recall).max())
