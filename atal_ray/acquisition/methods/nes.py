"""NES: an ensemble of different networks, found by random search (Zaidi and others, 2021)."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from annotated_types import Interval, MinLen
from torch import Tensor

from atal_ray import seeding
from atal_ray.acquisition.fitted import LabelledBatch, RoundData
from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.trained import is_held_out
from atal_ray.config import NetworkConfig
from atal_ray.config.bounds import Count, Words
from atal_ray.config.section import Section
from atal_ray.networks.protocol import SaliencyNetwork

LEAST = 1e-6
"""Probabilities are kept so far from 0 and 1."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NesConfig(Section):
    """What is searched, and how many of it speak."""

    path = "query.nes"

    members: Count = 5
    """M: networks that are asked, out of the `train.cycles` that are trained."""
    networks: Annotated[tuple[str, ...], MinLen(1), Words("give at least one")] = ("f3net", "minet", "pfsnet")
    """Names of networks to draw from."""
    widths: Annotated[tuple[Count, ...], MinLen(1), Words("give at least one")] = (32, 64, 96)
    """Widths of the decoder to draw from."""
    dropouts: Annotated[
        tuple[Annotated[float, Interval(ge=0, lt=1)], ...], MinLen(1), Words("give at least one")
    ] = (0.0, 0.1, 0.25)
    """Shares of dropout to draw from."""


class Nes(Method):
    """Top-k of the entropy of the mean of M networks, chosen out of `train.cycles` random ones.

    K = 10 networks (`train.cycles 10`, `train.ensemble networks`) of random kind, width and dropout are
    trained, the same ones in each round; forward selection without repeats takes those whose mean has the
    lowest negative log likelihood on a tenth of the labelled points, which no network is trained on. Random
    search over the networks that there are, not over cells of operations; the evolutionary form is left out.
    K trainings a round; M passes for an image, and K more for each image with held-out points.
    """

    Settings = NesConfig
    members = "searched"
    networks = True
    held_out = 0.1
    score = "entropy"
    fits = True

    def network(self, config: NetworkConfig, number: int, seed: int) -> NetworkConfig:
        """A random network; number 1 is the configuration's own."""
        if number == 1:
            return config
        rng, of = seeding.rng(seed, "search", number), self.settings
        name = of.networks[rng.integers(len(of.networks))]
        width = of.widths[rng.integers(len(of.widths))]
        dropout = of.dropouts[rng.integers(len(of.dropouts))]
        return replace(config, name=name, width=width, dropout=dropout)

    def fit(self, data: RoundData) -> dict[str, Tensor]:
        """Numbers of the chosen networks, from 0."""
        found, labels = [], []
        for batch in data.batches():
            rows = zip(batch.of_image, batch.xy, strict=True)
            judging = np.array(
                [
                    is_held_out(self.held_out, data.campaign_seed, batch.image_id[of], int(x), int(y))
                    for of, (x, y) in rows
                ],
                bool,
            )
            if judging.any():
                found.append(np.stack([probabilities(one, batch)[judging] for one in data.networks]))
                labels.append(batch.labels[judging])
        count = min(self.settings.members, len(data.networks))
        if not found:
            return {"members": torch.arange(count)}
        chosen = forward_select(np.concatenate(found, 1), np.concatenate(labels), count)
        return {"members": torch.tensor(chosen)}


@torch.no_grad()
def probabilities(network: SaliencyNetwork, batch: LabelledBatch) -> Matrix:
    """The saliency map at the labelled pixels of a batch [M]."""
    maps = network.saliency(batch.images)[0][:, 0].double().cpu().numpy()
    cells = np.rint(batch.cells).astype(np.int64).clip(0, maps.shape[-1] - 1)
    found: Matrix = maps[batch.of_image, cells[:, 1], cells[:, 0]]
    return found


def negative_log_likelihood(p: Matrix, labels: npt.NDArray[np.uint8]) -> float:
    """Mean of -log p(y) over M pixels."""
    p = p.clip(LEAST, 1 - LEAST)
    return float(-np.log(np.where(labels == 1, p, 1 - p)).mean())


def forward_select(p: Matrix, labels: npt.NDArray[np.uint8], count: int) -> list[int]:
    """Networks, each the one that lowers the loss of the mean of those before it and itself the most.

    Args:
        p: probabilities [K, M] of K networks for M pixels.
        labels: 0 or 1 [M].
        count: how many are chosen, without repeats; of equal ones the first.
    """
    chosen: list[int] = []
    for _ in range(count):
        left = [number for number in range(len(p)) if number not in chosen]
        losses = [negative_log_likelihood(p[[*chosen, number]].mean(0), labels) for number in left]
        chosen.append(left[int(np.argmin(losses))])
    return chosen
