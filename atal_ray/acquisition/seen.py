"""What the members of a method say of one image."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.features import FeatureCells

Map = npt.NDArray[np.float32]


def _nothing(*shape: int) -> Map:
    return np.empty(shape, np.float32)


@dataclass(frozen=True)
class Seen:
    """One image on the query grid [S, S]; what was not wanted is empty."""

    clean: Map
    """The members' mean salient probability p(x) [S, S]; zeros where no member looked."""
    attacked: Map = field(default_factory=lambda: _nothing(0, 0))
    """Their mean p(x_adv) [S, S] on the attacked image."""
    features: Map = field(default_factory=lambda: _nothing(0, 0, 0))
    """Last decoder features of the last member [C, h, w]."""
    members: Map = field(default_factory=lambda: _nothing(0, 0, 0))
    """Each member's p(x) [M, S, S]."""
    beside: Map = field(default_factory=lambda: _nothing(0, 0, 0))
    """What the module beside the last member gives [E, h, w]."""
    image: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 3), np.uint8))
    """The image itself [S, S, 3]."""
    mask: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty((0, 0), np.bool_))
    """The true mask [S, S]: no method that is to be compared may look at it."""
    score: Map = field(default_factory=lambda: _nothing(0, 0))
    """How uncertain each pixel is [S, S]; empty where nothing was scored."""
    near: FeatureCells | None = None
    """The features that samples of candidates and labelled points are made of, where the others, and the maps
    of other pixels, have not left a GPU.
    """

    @property
    def sampled(self) -> Map | FeatureCells:
        """The features for `sample_bilinear`."""
        return self.features if self.near is None else self.near

    @classmethod
    def nothing(cls, size: int) -> "Seen":
        """An image of the given side that no member looked at."""
        return cls(np.zeros((size, size), np.float32))
