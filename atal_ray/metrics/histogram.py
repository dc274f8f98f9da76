"""The joint histogram of a saliency map and its mask, and the per-image min-max stretch that all metrics share."""

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError

LEVELS = 256

UInt8Map = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


def check_pair(saliency: UInt8Map, mask: Mask, name: str = "saliency map") -> None:
    """Refuse a map and a mask that cannot be compared pixel by pixel.

    Args:
        saliency: uint8 [H, W].
        mask: bool [H, W], True on the salient object.
        name: what to call the image in the message.

    Raises:
        DataError: another dtype, another number of axes, different sizes, or no pixel at all.
    """
    if saliency.dtype != np.uint8 or saliency.ndim != 2:
        raise DataError(f"{name}: the map is {saliency.dtype} {list(saliency.shape)}, expected uint8 [H, W]: convert it with to_uint8")
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise DataError(f"{name}: the mask is {mask.dtype} {list(mask.shape)}, expected bool [H, W]: binarise it by > 128")
    if saliency.shape != mask.shape:
        sizes = f"the map has {list(saliency.shape)} rows and columns, its mask {list(mask.shape)}"
        raise DataError(f"{name}: {sizes}: resize the map to the mask, never the mask")
    if saliency.size == 0:
        raise DataError(f"{name}: an image of {list(saliency.shape)} rows and columns has no pixel to score")


def joint_codes(saliency: UInt8Map, mask: Mask) -> NDArray[np.uint16]:
    """One number a pixel, uint16 [H, W]: its level, plus 256 where the mask is salient."""
    return saliency + mask * np.uint16(LEVELS)


def count_codes(codes: NDArray[np.uint16]) -> Counts:
    """Histogram of `joint_codes`, or of a part of them: int64 [2, 256], background first, then salient."""
    return np.bincount(codes.ravel(), minlength=2 * LEVELS).reshape(2, LEVELS)


def joint_histogram(saliency: UInt8Map, mask: Mask) -> Counts:
    """Pixels of each level on the background and on the salient object: int64 [2, 256]; errors as `check_pair`."""
    check_pair(saliency, mask)
    return count_codes(joint_codes(saliency, mask))


def stretch(counts: Counts) -> tuple[int, int]:
    """Offset and span of the per-image min-max normalisation x = (level - offset) / span, as in PySODMetrics 1.6.2.

    A constant map is not stretched: offset 0, span 255.

    Args:
        counts: the joint histogram, int64 [2, 256], with at least one pixel.
    """
    occupied = np.flatnonzero(counts.sum(axis=0))
    low, high = int(occupied[0]), int(occupied[-1])
    return (low, high - low) if high > low else (0, LEVELS - 1)
