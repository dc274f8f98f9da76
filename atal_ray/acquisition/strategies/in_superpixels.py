"""The middles of random superpixels."""

import numpy as np

from atal_ray.acquisition.pick import Pick, PixelPool, pick_by_key
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy


class InSuperpixels(Strategy):
    """Of random superpixels the free pixel nearest to the centre of gravity; no network is run.

    Without superpixels (regions.labels none) every pixel is one.
    """

    looks = scored = False

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K middles of different superpixels; other pixels of them when all are used up."""
        rows, columns = np.nonzero(pool.free)
        ids = pool.superpixels[rows, columns].astype(np.int64)
        if (ids < 0).any():
            ids = np.arange(len(rows))
        _, own = np.unique(ids, return_inverse=True)
        count = np.bincount(own)
        middle = [np.bincount(own, axis) / count for axis in (rows, columns)]
        away = (rows - middle[0][own]) ** 2 + (columns - middle[1][own]) ** 2
        # the middle of each superpixel before all other pixels; superpixels, and the others, at random
        order = np.lexsort((rng.random(len(rows)), away, own))
        _, first = np.unique(own[order], return_index=True)
        key = np.full(pool.free.shape, -np.inf)
        key[rows, columns] = rng.random(len(rows)) - 1
        best = order[first]
        key[rows[best], columns[best]] += 1
        return pick_by_key(pool, key, k)
