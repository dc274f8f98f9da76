"""SEEDS superpixels of an image (Van den Bergh et al. 2012)."""

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.config import RegionConfig
from atal_ray.labels.superpixel_method import SuperpixelMethod

SMALLEST_SIDE = 8
SMALLEST_AREA = 16  # OpenCV's SEEDS crashes or never ends when it is asked for blocks of only a few pixels
FEWEST = 10  # what OpenCV makes of a smaller number


def superpixels(image: npt.NDArray[np.uint8], config: RegionConfig) -> npt.NDArray[np.int32]:
    """The superpixel id of every pixel.

    No more superpixels are asked for than one for each 16 pixels; an image with a side below 8 px, or too
    thin for the number asked for, is cut into blocks.

    Args:
        image: uint8 [H, W, 3].
        config: SEEDS parameters.

    Returns:
        int32 [H, W], ids from 0.
    """
    height, width, channels = image.shape
    count = max(FEWEST, min(config.superpixels, height * width // SMALLEST_AREA))
    down = int((count * height / width) ** 0.5)  # rows of superpixels, by which OpenCV divides
    if min(height, width) < SMALLEST_SIDE or down == 0 or down * width < height:
        return _blocks(height, width)
    seeds = cv2.ximgproc.createSuperpixelSEEDS(
        width, height, channels, count, config.levels, config.prior, config.bins, config.double_step
    )
    if seeds.getNumberOfSuperpixels() == 0:  # a thin image without a block on the coarsest level: would crash
        return _blocks(height, width)
    seeds.iterate(np.ascontiguousarray(image[..., ::-1]), config.iterations)  # BGR, as OpenCV expects
    return np.asarray(seeds.getLabels(), np.int32)


class Seeds(SuperpixelMethod):
    """SEEDS of OpenCV, the paper's choice; its settings are the fields of `regions`."""

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """The superpixel id of every pixel."""
        return superpixels(image, self.regions)


def _blocks(height: int, width: int) -> npt.NDArray[np.int32]:
    """Squares of SMALLEST_SIDE pixels as superpixels."""
    rows, columns = np.arange(height) // SMALLEST_SIDE, np.arange(width) // SMALLEST_SIDE
    return (rows[:, None] * (int(columns[-1]) + 1) + columns).astype(np.int32)
