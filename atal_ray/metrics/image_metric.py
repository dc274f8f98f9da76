"""The interface of a metric that is averaged over images beside the standard ones."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from atal_ray.config.plugins import Plugin


class ImageMetric(Plugin, ABC):
    """A number for the saliency map of one image; a test set has the mean over its images."""

    label: ClassVar[str] = ""
    """Its name in a table; empty: that of the class."""
    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, saliency: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> float:
        """The metric of a map [H, W] of 0 to 255 beside its mask [H, W]."""
