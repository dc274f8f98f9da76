"""Region impurity times uncertainty (RIPU; Xie and others, 2022)."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import entropy
from atal_ray.config.bounds import Count
from atal_ray.config.section import Section


@dataclass(frozen=True, kw_only=True)
class ImpurityConfig(Section):
    """The window of the score `impurity`."""

    path = "query.impurity"

    radius: Count = 1
    """Pixels from the middle of the window to its sides: 1 for 3 x 3."""


class Impurity(PixelScore):
    """Mean entropy of p in a window, times the entropy of the shares of its two predicted classes.

    The window is cut off at the sides of the map. Exact for two classes; the method's budget (40 pixels an
    image) and the ring that it masks around each pick are left to the campaign.
    """

    Settings = ImpurityConfig

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        radius = self.settings.radius
        return _window_mean(entropy(seen.clean), radius) * entropy(_window_mean(seen.clean > 0.5, radius))


def _window_mean(values: Map | npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.float64]:
    """Mean of each pixel's window, as far as it lies within the map."""
    side = (2 * radius + 1,) * 2

    def total(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        summed = cv2.boxFilter(x, cv2.CV_64F, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(summed)

    return total(values.astype(np.float64)) / total(np.ones(values.shape))
