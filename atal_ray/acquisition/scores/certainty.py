"""Scores of the mean prediction alone."""

from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import bvsb, entropy


class Entropy(PixelScore):
    """Binary entropy of p in bits, -p log2 p - (1 - p) log2(1 - p)."""

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        return entropy(seen.clean)


class Margin(PixelScore):
    """1 - BvSB(p) = 1 - |2p - 1|; with two classes it orders pixels as the entropy does."""

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        return 1 - bvsb(seen.clean)
