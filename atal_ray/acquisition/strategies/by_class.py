"""Random pixels, half of them where the members see an object (nnActive; Luth and others, 2025)."""

import numpy as np

from atal_ray.acquisition.pick import Pick, PixelPool, pick_by_key
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.errors import DivergedError


class ByClass(Strategy):
    """Object and background by turns, uniform within each; of the other one where one has no free pixel.

    Where k is odd, chance says which of the two comes first.
    """

    scored = False

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels, of both sides of p = 0.5."""
        if not np.isfinite(seen.clean).all():
            raise DivergedError("a prediction is not finite")
        salient, first = seen.clean > 0.5, int(rng.integers(2))
        turn = np.empty(salient.shape)
        for side in (True, False):
            members = np.flatnonzero((salient == side) & pool.free)
            turn.ravel()[members] = 2 * rng.permutation(len(members)) + (first if side else 1 - first)
        turn[~pool.free] = np.inf
        return pick_by_key(pool, -turn, k)
