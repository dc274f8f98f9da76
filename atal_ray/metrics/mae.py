"""Mean absolute error of a saliency map."""

from atal_ray.metrics.histogram import Mask, Saliency, Tally, tally


def mae(saliency: Saliency, mask: Mask) -> float:
    """MAE = 1/(HW) sum |x - g|, x the map (min-max normalised if of integers), g the mask.

    Perazzi et al., CVPR 2012, with the conventions of PySODMetrics 1.6.2.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W]; an empty or full mask is scored like any other.

    Raises:
        DataError: see `check_pair`.
    """
    return mae_of(tally(saliency, mask))


def mae_of(t: Tally) -> float:
    """The same from the tally; of an integer map in integer sums and one division: equal everywhere."""
    background, salient = (side.item() for side in t.counts @ t.levels)
    return float((background + t.span * t.salient - salient) / (t.span * t.pixels))
