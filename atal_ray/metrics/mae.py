"""Mean absolute error of a saliency map."""

import numpy as np

from atal_ray.metrics.histogram import LEVELS, Counts, Mask, UInt8Map, joint_histogram, stretch


def mae(saliency: UInt8Map, mask: Mask) -> float:
    """MAE = 1/(HW) sum |x - g|, x the min-max normalised map, g the mask (Perazzi et al., CVPR 2012; PySODMetrics 1.6.2).

    Args:
        saliency: uint8 [H, W].
        mask: bool [H, W]; an empty or full mask is scored like any other.

    Raises:
        DataError: see `check_pair`.
    """
    return mae_of(joint_histogram(saliency, mask))


def mae_of(counts: Counts) -> float:
    """The same from the joint histogram [2, 256]: integer sums and one division, so equal on every machine."""
    offset, span = stretch(counts)
    background, salient = (int(total) for total in counts @ (np.arange(LEVELS) - offset))
    error = background + span * int(counts[1].sum()) - salient
    return error / (span * int(counts.sum()))
