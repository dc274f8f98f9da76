"""Random pixels of the most uncertain share of an image (PixelPick; Shin, Xie, Albanie, 2021)."""

from dataclasses import dataclass

import numpy as np

from atal_ray.acquisition.candidates import candidate_count, candidate_set
from atal_ray.acquisition.pick import Pick, PixelPool, pick_cells
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config.bounds import Percent
from atal_ray.config.section import Section


@dataclass(frozen=True, kw_only=True)
class TopShareConfig(Section):
    """How large the share of the strategy `top-share` is."""

    path = "query.top-share"

    percent: Percent = 5.0
    """Most uncertain share of an image's pixels, of which k are drawn."""


class TopShare(Strategy):
    """k pixels drawn uniformly from the `percent` % most uncertain ones: against picks that cluster."""

    Settings = TopShareConfig

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K of the most uncertain free pixels."""
        grid = pool.grid
        score = grid.kept(seen.score)
        tie = rng.random(score.shape, np.float32)
        candidates = candidate_set(score, grid.kept(pool.free), self.candidates(tie.size, k), tie)
        return pick_cells(grid, rng.permutation(candidates)[:k])

    def candidates(self, pixels: int, k: int) -> int:
        """The share, but at least k."""
        return candidate_count(pixels, self.settings.percent, k)
