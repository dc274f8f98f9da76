"""Scores of the mean prediction alone."""

from typing import TYPE_CHECKING

from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import bvsb, entropy

if TYPE_CHECKING:
    from torch import Tensor

    from atal_ray.acquisition.predictions import Predictions


class Entropy(PixelScore):
    """Binary entropy of p in bits, -p log2 p - (1 - p) log2(1 - p)."""

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        return entropy(seen.clean)

    def of_batch(self, found: "Predictions") -> "Tensor | None":
        """The same of a batch, but for the last bits of its logarithms."""
        return entropy(found.clean)


class Margin(PixelScore):
    """1 - BvSB(p) = 1 - |2p - 1|; with two classes it orders pixels as the entropy does."""

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        return 1 - bvsb(seen.clean)

    def of_batch(self, found: "Predictions") -> "Tensor | None":
        """The same of a batch."""
        return 1 - bvsb(found.clean)
