"""Free pixels at random."""

import numpy as np

from atal_ray.acquisition.pick import Pick, PixelPool, pick_random
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy


class AtRandom(Strategy):
    """Uniform over the free pixels, in different superpixels while there are any; no network is run."""

    looks = scored = False

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels at random."""
        return pick_random(pool, k, rng)
