"""What the members of a method say of one image."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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
    score: Map = field(default_factory=lambda: _nothing(0, 0))
    """How uncertain each pixel is [S, S]; empty where nothing was scored."""

    @classmethod
    def nothing(cls, size: int) -> "Seen":
        """An image of the given side that no member looked at."""
        return cls(np.zeros((size, size), np.float32))
