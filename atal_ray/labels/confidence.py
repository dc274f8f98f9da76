"""Labels and how much each of them counts, as one grey level a pixel: a soft mask.

    v = 127.5 + 127.5 c where the label is 1,  127.5 - 127.5 c where it is 0

with the confidence c in [0, 1]: 0 and 255 count whole, the middle of the grey levels not at all. A network's
saliency map is such a soft mask too, whose confidence is |2 p - 1|.
"""

import numpy as np
import numpy.typing as npt
from torch import Tensor

from atal_ray.labels.points import UNSURE

MIDDLE = 127.5
NEAREST = 1 / 255
"""Confidence of the grey levels 127 and 128, which stand for none."""
ROUNDING = 1e-4


def soft_mask(labels: npt.NDArray[np.uint8], confidence: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """The soft mask, uint8 of the same shape.

    Args:
        labels: 0, 1, or 255 for nothing, which gets the confidence 0.
        confidence: in [0, 1].
    """
    side = np.where(labels == UNSURE, 0, np.where(labels == 1, 1, -1))
    return np.rint(MIDDLE + MIDDLE * side * confidence).astype(np.uint8)


def labels_of(soft: Tensor) -> tuple[Tensor, Tensor]:
    """The labels, 0.0 or 1.0, and the confidence of each, in [0, 1].

    Args:
        soft: a soft mask over 255, in floating point, of any shape.
    """
    away = (2 * soft - 1).abs()
    unknown = away <= NEAREST * (1 + ROUNDING)
    return (soft >= 0.5).to(soft.dtype), ((away - NEAREST) / (1 - NEAREST)).masked_fill(unknown, 0)
