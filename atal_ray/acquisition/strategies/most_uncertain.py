"""The most uncertain pixels, however close to each other they lie."""

import numpy as np

from atal_ray.acquisition.candidates import candidate_count
from atal_ray.acquisition.pick import Pick, PixelPool, pick_uncertain
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy


class MostUncertain(Strategy):
    """Top-k of the score; pixels of equal score in random order."""

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """The k most uncertain free pixels."""
        return pick_uncertain(pool, seen.score, k, rng)

    def candidates(self, pixels: int, k: int) -> int:
        """The points themselves."""
        return candidate_count(pixels, 0, k)
