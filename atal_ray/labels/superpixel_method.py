"""How an image is cut into superpixels: SEEDS, or a plug-in."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from atal_ray.config import RegionConfig
from atal_ray.config.plugins import Plugin, Registry, settings_of
from atal_ray.errors import DataError


class SuperpixelMethod(Plugin, ABC):
    """Base of everything that cuts images into superpixels.

    Args:
        regions: the whole section: `superpixels` says how many are wanted.
        settings: an instance of `Settings`, or None where it has none.
    """

    def __init__(self, regions: RegionConfig, settings: Any = None) -> None:
        self.regions, self.settings = regions, settings

    @abstractmethod
    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.integer[Any]]:
        """The superpixel id of every pixel [H, W], from 0, of RGB [H, W, 3]; equal images give equal ids."""


SUPERPIXELS: Registry[SuperpixelMethod] = Registry(
    "regions.method",
    "atal_ray.labels.superpixel_method:SuperpixelMethod",
    {"seeds": "atal_ray.labels.superpixels:Seeds", "squares": "atal_ray.labels.squares:Squares"},
)


def cut(image: npt.NDArray[np.uint8], regions: RegionConfig) -> npt.NDArray[np.int32]:
    """The superpixels of an image by the method of a configuration, int32 [H, W].

    Raises:
        ConfigError: there is no such method.
        DataError: a user's own gives something else than ids.
    """
    kind = SUPERPIXELS.find(regions.method)
    found = np.asarray(kind(regions, settings_of(regions, regions.method, kind))(image))
    if found.shape != image.shape[:2] or found.dtype.kind not in "iu" or found.min() < 0:
        raise DataError(
            f"regions.method {regions.method} gives {found.dtype} {list(found.shape)} from {found.min()} on: "
            f"it must give whole numbers from 0 on, {list(image.shape[:2])}"
        )
    return found.astype(np.int32)
