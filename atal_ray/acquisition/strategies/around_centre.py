"""Random pixels around the middle of the image, where objects tend to be."""

import numpy as np

from atal_ray.acquisition.pick import Pick, PixelPool, pick_by_key
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy

SPREAD = 6
"""The side of the image over the standard deviation of the points."""


def pick_around_centre(pool: PixelPool, k: int, rng: np.random.Generator, *, first_in_centre: bool) -> Pick:
    """K draws without repeats, with a chance that falls with the distance from the middle as a Gaussian.

    Args:
        pool: the free pixels.
        k: points.
        rng: the draws.
        first_in_centre: ask for the free pixel nearest to the middle first.
    """
    size = len(pool.free)
    offset = (np.arange(size) + 0.5) / size - 0.5
    distance = np.add.outer(offset**2, offset**2)
    key = -distance * SPREAD**2 / 2 + rng.gumbel(size=distance.shape)
    if first_in_centre:
        key[np.unravel_index(np.where(pool.free, distance, np.inf).argmin(), key.shape)] = np.inf
    return pick_by_key(pool, key, k)


class AroundCentre(Strategy):
    """Gaussian around the middle, with a sixth of each side as its standard deviation; no network is run."""

    looks = scored = False

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels, most of them near the middle."""
        return pick_around_centre(pool, k, rng, first_in_centre=False)
