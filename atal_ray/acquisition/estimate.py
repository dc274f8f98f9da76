"""What the uncertainty of images is made of: their attack (Eq. 1) and the snapshot ensemble (Eq. 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atal_ray.acquisition.attack import pgd, pgd_resized
from atal_ray.acquisition.ensemble import mean_probability
from atal_ray.config import AttackConfig
from atal_ray.errors import DataError
from atal_ray.networks.protocol import SaliencyNetwork

NEVER_CERTAIN = 1e-6  # keeps the logit of a mean probability finite


Maps = TypeVar("Maps")


@dataclass(frozen=True)
class Estimate(Generic[Maps]):
    """What the query needs of a batch of B images in float32: tensors where the snapshots are, or arrays."""

    clean: Maps
    """Ensemble mean p(x) [B, S, S] (Eq. 6)."""
    attacked: Maps
    """Ensemble mean p(x_adv) [B, S, S] (Eq. 6)."""
    features: Maps
    """Last decoder features of the last snapshot on the clean images [B, C, h, w]."""

    def numpy(self: "Estimate[Tensor]") -> "Estimate[NDArray[np.float32]]":
        """The same as arrays."""
        return Estimate(*(part.cpu().numpy() for part in (self.clean, self.attacked, self.features)))


@torch.no_grad()
def estimate(
    snapshots: Sequence[SaliencyNetwork],
    images: Tensor,
    config: AttackConfig,
    labels: Tensor | None = None,
    known: Tensor | None = None,
) -> Estimate[Tensor]:
    """Attack the images (Eq. 1) and average the snapshots' maps of the clean and the attacked ones (Eq. 6).

    With L snapshots and n steps on the last of them it takes n passes with the gradient of the images, and
    2L - 1 passes without: the first step of the attack is the clean pass of that snapshot. With `scale` below
    1 the n passes are of smaller images, and 2L passes without gradient follow.

    Args:
        snapshots: frozen networks in evaluation mode, in the order of the trajectory.
        images: [B, 3, S, S] in [0, 1].
        config: the attack; `model` says whether the last snapshot or the ensemble mean is attacked.
        labels: y [B, 1, S, S] of 0 and 1, needed where `config.labels` is "points".
        known: 1 at the labelled pixels [B, 1, S, S], where y counts; needed with `labels`.

    Raises:
        DataError: shapes differ, images on a CPU leave [0, 1], or there is no snapshot.
    """
    if not snapshots:
        raise DataError("estimate: no snapshot; give at least one")
    members = snapshots[-1:] if config.model == "last" else snapshots
    clean: list[tuple[Tensor, Tensor]] = []

    def logits_of(x: Tensor) -> Tensor:
        logits, probability, features = _attacked_model(members, x)
        if not clean and x.shape == images.shape:  # the attack's first pass is of the clean images
            clean.append((probability.detach(), features.detach()))
        return logits

    side = attacked_side(images.shape[-1], config.scale, snapshots[-1].multiple)
    attack = pgd if side == images.shape[-1] else partial(pgd_resized, side=side)
    target, weight = (None, None) if config.labels == "prediction" else (labels, known)
    attacked = attack(
        images,
        logits_of,
        target,
        epsilon=config.epsilon,
        alpha=config.alpha,
        steps=config.steps,
        weight=weight,
    )
    if not clean:
        logits_of(images)
    ((before, features),) = clean
    if config.model == "last":
        before = mean_probability([*(network.saliency(images)[0] for network in snapshots[:-1]), before])
    after = mean_probability(network.saliency(attacked)[0] for network in snapshots)
    return Estimate(before[:, 0].float(), after[:, 0].float(), features.float())


def attacked_side(full: int, scale: float, multiple: int) -> int:
    """The side of the attacked images: `scale` times `full`, rounded to a multiple that the network takes.

    Args:
        full: side of the images in pixels.
        scale: in (0, 1]; 1 keeps the side as it is.
        multiple: sides that the network takes are multiples of it.
    """
    return full if scale == 1 else max(1, round(scale * full / multiple)) * multiple


def _attacked_model(members: Sequence[SaliencyNetwork], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and probabilities [B, 1, S, S] of the mean of the members, and the features of the last."""
    if len(members) == 1:
        output = members[0](members[0].normalise(x))
        logits = output.logits[members[0].prediction]
        return logits, torch.sigmoid(logits), output.features
    passes = [network.saliency(x) for network in members]
    mean = mean_probability(probability for probability, _ in passes)
    return torch.logit(mean, NEVER_CERTAIN), mean, passes[-1][1]
