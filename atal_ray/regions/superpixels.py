"""SEEDS superpixels of an image (Van den Bergh et al. 2012)."""

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.config import RegionConfig

SMALLEST_SIDE = 8
SMALLEST_AREA = 16  # OpenCV's SEEDS crashes or never ends when it is asked for blocks of only a few pixels


def superpixels(image: npt.NDArray[np.uint8], config: RegionConfig) -> npt.NDArray[np.int32]:
    """The superpixel id of every pixel.

    No more superpixels are asked for than one for each 16 pixels; an image with a side below 8 px is cut into blocks.

    Args:
        image: uint8 [H, W, 3].
        config: SEEDS parameters.

    Returns:
        int32 [H, W], ids from 0.
    """
    height, width, channels = image.shape
    if min(height, width) < SMALLEST_SIDE:
        rows, columns = np.arange(height) // SMALLEST_SIDE, np.arange(width) // SMALLEST_SIDE
        return (rows[:, None] * (int(columns[-1]) + 1) + columns).astype(np.int32)
    count = min(config.superpixels, height * width // SMALLEST_AREA)
    seeds = cv2.ximgproc.createSuperpixelSEEDS(width, height, channels, count, config.levels, config.prior, config.bins, config.double_step)
    seeds.iterate(np.ascontiguousarray(image[..., ::-1]), config.iterations)  # BGR, as OpenCV's own readers give it
    return np.asarray(seeds.getLabels(), np.int32)
