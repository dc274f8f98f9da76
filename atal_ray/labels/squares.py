"""Squares of equal size: superpixels that know nothing of the image, to compare others with."""

import numpy as np
import numpy.typing as npt

from atal_ray.labels.superpixel_method import SuperpixelMethod


class Squares(SuperpixelMethod):
    """About `regions.superpixels` squares."""

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The number of each pixel's square, row by row."""
        height, width = image.shape[:2]
        side = max(1, round((height * width / self.regions.superpixels) ** 0.5))
        rows, columns = np.arange(height) // side, np.arange(width) // side
        found: npt.NDArray[np.int64] = rows[:, None] * (columns[-1] + 1) + columns
        return found
