"""LLAL: learning loss (Yoo and Kweon, 2019), without the pooling that makes one number of an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.pick import Pick, PixelPool, concat_picks, pick_uncertain
from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config.bounds import Count, Percent, Words
from atal_ray.config.section import Section
from atal_ray.networks.beside import Beside
from atal_ray.networks.bilinear import bilinear
from atal_ray.training.losses import IGNORED

STRIDE = 4
"""Of the map of predicted losses."""


@dataclass(frozen=True, kw_only=True)
class PredictedLossConfig(Section):
    """How the loss is learnt."""

    path = "query.predicted-loss"

    weight: Annotated[float, Gt(0)] = 1.0
    """Lambda: weight of the ranking loss beside the network's."""
    margin: Annotated[float, Ge(0)] = 1.0
    """Xi: how far apart the predictions of a pair are to be."""
    channels: Count = 128
    """Channels that each level is brought to."""
    pairs: Count = 64
    """Pairs of labelled pixels in a step, for each image of the batch."""
    detach: Annotated[float, Interval(ge=0, le=1), Words("use a share of the epochs, 0 to 1")] = 0.6
    """Share of the epochs after which its gradient no longer shapes the network."""


class LossModule(Beside):
    """Predicts the loss of each pixel at stride 4 from all levels of the network.

    Each level: 1 x 1 convolution, ReLU, resized; all of them together: 1 x 1 convolution to one map. Its loss
    ranks pairs (i, j) of labelled pixels of a batch: max(0, -s (p_i - p_j) + xi), where p is what it
    predicts, s = 1 if the true loss l_i is above l_j, and else -1.
    """

    def __init__(self, channels: Sequence[int], settings: PredictedLossConfig) -> None:
        super().__init__(channels, settings)
        self.settings, self.is_detached = settings, False
        self.squeeze = nn.ModuleList(nn.Conv2d(count, settings.channels, 1) for count in channels)
        self.predict = nn.Conv2d(settings.channels * len(channels), 1, 1)

    def begin_epoch(self, done: float) -> None:
        """Look at the levels without shaping them in the last part of the training."""
        self.is_detached = done >= self.settings.detach

    def forward(self, levels: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Predicted losses [B, 1, H / 4, W / 4]."""
        size = max(1, x.shape[-2] // STRIDE), max(1, x.shape[-1] // STRIDE)
        maps = [
            bilinear(relu(squeeze(level.detach() if self.is_detached else level)), size)
            for squeeze, level in zip(self.squeeze, levels, strict=True)
        ]
        found: Tensor = self.predict(torch.cat(maps, 1))
        return found

    def loss(self, maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """The weighted ranking loss of random pairs of labelled pixels."""
        full = targets.is_floating_point()
        known = torch.ones_like(targets, dtype=torch.bool) if full else targets != IGNORED
        predicted = bilinear(maps, (targets.shape[-2], targets.shape[-1]))[:, 0][known]
        labels = targets[known].to(logits.dtype)
        true = binary_cross_entropy_with_logits(logits[:, 0][known].detach(), labels, reduction="none")
        count = len(true)
        if count < 2:
            return 0 * maps.sum()
        pairs = torch.randint(count, (2, min(self.settings.pairs * len(targets), count)), device=maps.device)
        (first, second), (l_i, l_j) = predicted[pairs], true[pairs]
        return self.settings.weight * self.rank(first - second, l_i > l_j)

    def rank(self, difference: Tensor, larger: Tensor) -> Tensor:
        """Mean of max(0, -s (p_i - p_j) + xi).

        Args:
            difference: p_i - p_j [P].
            larger: whether l_i is above l_j [P].
        """
        sign = 2 * larger.to(difference.dtype) - 1
        return relu(self.settings.margin - sign * difference).mean()


class PredictedLoss(PixelScore):
    """What the module beside the network says that the loss is; its scale has no meaning."""

    Settings = PredictedLossConfig
    beside = LossModule
    top = None

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S]."""
        return resized(seen.beside[0], len(seen.clean))


@dataclass(frozen=True, kw_only=True)
class RandomSubsetConfig(Section):
    """How much the strategy `random-subset` looks at."""

    path = "query.random-subset"

    percent: Percent = 20.0
    """Share of an image's free pixels, drawn at random, of which the most uncertain are taken."""


class RandomSubset(Strategy):
    """Top-k of a random share of the free pixels: against picks that cluster."""

    Settings = RandomSubsetConfig

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """The k most uncertain pixels of the share; of the others where it has fewer."""
        drawn = rng.random(pool.free.shape) < self.settings.percent / 100
        pick = pick_uncertain(pool.of(drawn), seen.score, k, rng)
        return concat_picks([pick, pick_uncertain(pool.of(~drawn), seen.score, k - len(pick.xy), rng)])


class Llal(Method):
    """Top-k of the predicted loss among a random fifth of the pixels.

    Adapted: the module has no pooling, so it predicts a loss for each pixel, and learns from pairs of
    labelled pixels of a batch. The rest is the original's: lambda = 1, xi = 1, no gradient into the network
    after 60 % of the epochs, and a random subset as the only means against redundancy (there 10,000 of 50,000
    images). One pass for an image; the module trains beside the network.
    """

    score = "predicted-loss"
    strategy = "random-subset"


def resized(values: Any, size: int) -> Map:
    """A map [h, w] on the query grid, bilinear."""
    found: Map = cv2.resize(np.asarray(values, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return found
