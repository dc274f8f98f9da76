"""Scores with noise on their logarithm (ClaSP; Gaillochet, Desrosiers, Lombaert, 2023)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt

from atal_ray.acquisition.pick import Pick, PixelPool, pick_uncertain
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config.section import Section

LEAST = 1e-7
"""Score of which the logarithm is taken where it is lower."""


@dataclass(frozen=True, kw_only=True)
class PowerConfig(Section):
    """How far the strategy `power` trusts the score."""

    path = "query.power"

    beta: Annotated[float, Gt(0)] = 1.0
    """Power of the score: pixels are drawn with a chance proportional to score ** beta."""


class Power(Strategy):
    """Top-k of beta * log score + Gumbel noise: k draws without repeats, each in proportion to score ** beta.

    Between the most uncertain pixels (beta to infinity) and random ones (beta to 0).
    """

    Settings = PowerConfig

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels, the uncertain ones with a higher chance."""
        noisy = self.settings.beta * np.log(np.maximum(seen.score, LEAST)) + rng.gumbel(size=seen.score.shape)
        return pick_uncertain(pool, noisy.astype(np.float32), k, rng)
