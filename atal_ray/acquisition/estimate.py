"""The uncertainty of a batch of images: attack, snapshot ensemble on clean and attacked images (AATU and
TEUE).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atal_ray.acquisition.attack import pgd, pgd_resized
from atal_ray.acquisition.ensemble import mean_probability
from atal_ray.config import AttackConfig
from atal_ray.networks.protocol import SaliencyNetwork

NEVER_CERTAIN = 1e-6  # keeps the logit of a mean probability finite


@dataclass(frozen=True)
class Estimate:
    """What the query needs of a batch, off the device."""

    clean: npt.NDArray[np.float32]
    """Ensemble mean p(x) [B, S, S] (Eq. 6)."""
    attacked: npt.NDArray[np.float32]
    """Ensemble mean p(x_adv) [B, S, S] (Eq. 6)."""
    features: npt.NDArray[np.float32]
    """Last decoder features of the last snapshot on the clean images [B, C, h, w]."""


@torch.no_grad()
def estimate(
    snapshots: Sequence[SaliencyNetwork],
    images: Tensor,
    config: AttackConfig,
    labels: Tensor | None = None,
    known: Tensor | None = None,
) -> Estimate:
    """Attack the images and average the snapshots' saliency maps on both versions.

    With L snapshots and n steps on the last of them it takes n passes with the gradient of the images, the
    first of which is the clean pass of that snapshot, and 2L - 1 without. An attack at a smaller `scale`
    takes n smaller ones and 2L.

    Args:
        snapshots: frozen networks in evaluation mode, in the order of the trajectory.
        images: [B, 3, S, S] in [0, 1].
        config: the attack; `model` says whether the last snapshot or the ensemble mean is attacked.
        labels: with `config.labels` "points": y [B, 1, S, S] at the labelled pixels.
        known: and which pixels those are [B, 1, S, S].
    """
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
    return Estimate(*(tensor.float().cpu().numpy() for tensor in (before[:, 0], after[:, 0], features)))


def attacked_side(full: int, scale: float, multiple: int) -> int:
    """The side of the images that are attacked, near `scale` times that of the images: a multiple that the
    network takes.
    """
    return full if scale == 1 else max(1, round(scale * full / multiple)) * multiple


def _attacked_model(members: Sequence[SaliencyNetwork], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and probabilities [B, 1, S, S] of one network or of the mean of several, and the features of the
    last.
    """
    if len(members) == 1:
        output = members[0](members[0].normalise(x))
        logits = output.logits[members[0].prediction]
        return logits, torch.sigmoid(logits), output.features
    passes = [network.saliency(x) for network in members]
    mean = mean_probability(probability for probability, _ in passes)
    return torch.logit(mean, NEVER_CERTAIN), mean, passes[-1][1]
