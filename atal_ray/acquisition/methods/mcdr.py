"""MCDR: Monte-Carlo dropout (Mackowiak and others, CEREALS, 2018)."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge

from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.pick import Pick, PixelPool, concat_picks, pick_uncertain
from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.acquisition.uncertainty import entropy
from atal_ray.config import QueryConfig
from atal_ray.config.bounds import Count
from atal_ray.config.section import Section


@dataclass(frozen=True, kw_only=True)
class McdrConfig(Section):
    """How often MCDR asks."""

    path = "query.mcdr"

    passes: Annotated[int, Ge(2)] = 20
    """T: passes of the newest snapshot with dropout."""


class Mcdr(Method):
    """Top-k of the entropy of the mean of T passes with dropout; `--query.score vote-entropy` for its votes,
    `--query.strategy windows` for its regions.

    Exact but for the network, which has no dropout as published: it gets `network.dropout` on the maps
    between encoder and decoder and before each head, in training too. The original's model of what a region
    costs is left out, as every click costs the same. One pass of the encoder and T of the decoder for an
    image.
    """

    Settings = McdrConfig
    members = "dropout"
    score = "entropy"

    @property
    def passes(self) -> int:
        """T."""
        return int(self.settings.passes)


class VoteEntropy(PixelScore):
    """H(q) in bits, where q is the share of the members that see an object: the hard form of MCDR."""

    members = True

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        return entropy((seen.members > 0.5).mean(0, dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class WindowsConfig(Section):
    """The windows of the strategy `windows`."""

    path = "query.windows"

    side: Count = 33
    """Side of a window in cells of the query grid."""


class Windows(Strategy):
    """The highest-scored free pixel of each of the k windows with the largest mean score.

    Windows are taken greedily and do not overlap: after each pick, windows whose middle lies within a side of
    its middle are out. Where no window is left, single pixels follow.
    """

    Settings = WindowsConfig

    def __init__(self, query: QueryConfig, settings: WindowsConfig) -> None:
        super().__init__(query, settings)
        self.side = settings.side

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels, of the most uncertain window first."""
        size = len(seen.score)
        means = window_means(np.where(pool.free, seen.score, 0), self.side)
        means += 1e-7 * rng.random(means.shape)  # equal windows in random order
        left, picks, taken = means.copy(), list[Pick](), np.zeros_like(pool.free)
        while len(picks) < k and np.isfinite(left).any():
            row, column = divmod(int(left.argmax()), size)
            inside = np.zeros_like(pool.free)
            inside[_around(row, self.side // 2), _around(column, self.side // 2)] = True
            left[_around(row, self.side), _around(column, self.side)] = -np.inf
            pick = pick_uncertain(pool.of(inside & ~taken), seen.score, 1, rng)
            if len(pick.xy):
                picks.append(pick)
                taken[pick.cells] = True
        rest = pick_uncertain(pool.of(~taken), seen.score, k - len(picks), rng)
        return concat_picks([*picks, rest])


def window_means(score: Map, side: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Mean of the window around each cell, as far as it lies within the map; negative infinity for none."""

    def total(values: Map) -> Map:
        summed = cv2.boxFilter(
            values.astype(np.float64),
            cv2.CV_64F,
            (side, side),
            normalize=False,
            borderType=cv2.BORDER_CONSTANT,
        )
        return np.asarray(summed)

    means: np.ndarray[tuple[int, int], np.dtype[np.float64]] = total(score) / total(np.ones(score.shape))
    return means


def _around(middle: int, reach: int) -> slice:
    return slice(max(0, middle - reach), middle + reach + 1)
