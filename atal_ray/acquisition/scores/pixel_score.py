"""The interface of a score."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.fitted import Fitted
from atal_ray.acquisition.seen import Seen
from atal_ray.config.plugins import Plugin

if TYPE_CHECKING:  # PyTorch takes two seconds to load, and a plug-in is looked up before
    from torch import Tensor

    from atal_ray.acquisition.predictions import Predictions
    from atal_ray.networks.beside import Beside

Map = npt.NDArray[np.floating[Any]]


class PixelScore(Plugin, Fitted, ABC):
    """How uncertain each pixel of an image is; it says what it looks at, and gets nothing else.

    Args:
        settings: an instance of `Settings`, or None where it has none.
    """

    attacked: ClassVar[bool] = False
    """Whether it looks at `Seen.attacked`, for which images are attacked."""
    features: ClassVar[bool] = False
    """Whether it looks at `Seen.features`."""
    members: ClassVar[bool] = False
    """Whether it looks at `Seen.members`."""
    beside: ClassVar["type[Beside] | None"] = None
    """A module that trains beside the network with the score's settings; the score looks at `Seen.beside`."""
    image: ClassVar[bool] = False
    """Whether it looks at `Seen.image`."""
    mask: ClassVar[bool] = False
    """Whether it looks at `Seen.mask`, the truth."""
    top: ClassVar[float | None] = 1.0
    """The largest score, for the colours of the report, where 0 is the smallest; None where the scale has no
    meaning: then each image has its own.
    """

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings

    @abstractmethod
    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S], the larger the more uncertain."""

    def of_batch(self, found: "Predictions") -> "Tensor | None":
        """The scores of a batch [B, S, S] where the members are, so that no map has to leave a GPU; None
        where it takes arrays. A class with another `__call__` does not inherit it.
        """
        return None
