"""RDS: candidates, their cover (Eq. 9), and of it the least like what is labelled (Eq. 10)."""

import numpy as np

from atal_ray.acquisition.candidates import candidate_count
from atal_ray.acquisition.pick import Pick, PixelPool, pick_diverse
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy


class Diverse(Strategy):
    """`query.top-percent`, `cover`, `cover-space`, `cover-factor` and `similarity` are its settings."""

    features = True

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """The k points of an image by RDS."""
        return pick_diverse(pool, seen.score, seen.sampled, k, self.query, rng)

    def candidates(self, pixels: int, k: int) -> int:
        """K %."""
        return candidate_count(pixels, self.query.top_percent, k)
