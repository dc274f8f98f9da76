"""The 8-bit saliency map that is saved and scored."""

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError

UInt8Map = NDArray[np.uint8]


def to_uint8(probability: NDArray[np.floating], name: str = "saliency map") -> UInt8Map:
    """Round 255 p to the nearest level, halves to even: how F3Net saves its maps.

    Args:
        probability: float [H, W] in [0, 1], the foreground probability; multiplied in its own precision.
        name: what to call the image in the message.

    Raises:
        DataError: another dtype or number of axes, or a value that is NaN or outside [0, 1].
    """
    if not np.issubdtype(probability.dtype, np.floating) or probability.ndim != 2:
        raise DataError(
            f"{name}: probabilities are {probability.dtype} {list(probability.shape)}, expected float [H, W]"
        )
    if not np.all((probability >= 0) & (probability <= 1)):
        raise DataError(f"{name}: a probability is NaN or outside [0, 1]: pass the sigmoid of the logits")
    levels: UInt8Map = np.rint(probability * 255).astype(np.uint8)
    return levels


def png(levels: UInt8Map) -> bytes:
    """The 8-bit PNG of a map, as bytes of its file."""
    return bytes(cv2.imencode(".png", levels)[1].tobytes())
