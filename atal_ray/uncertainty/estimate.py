"""The uncertainty of a batch of images: attack, snapshot ensemble on clean and attacked images (AATU and TEUE)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atal_ray.config import AttackConfig
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.uncertainty.attack import pgd
from atal_ray.uncertainty.ensemble import mean_probability

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
    snapshots: Sequence[SaliencyNetwork], images: Tensor, config: AttackConfig, labels: Tensor | None = None, known: Tensor | None = None
) -> Estimate:
    """Attack the images and average the snapshots' saliency maps on both versions.

    Args:
        snapshots: frozen networks in evaluation mode, in the order of the trajectory.
        images: [B, 3, S, S] in [0, 1].
        config: the attack; `model` says whether the last snapshot or the ensemble mean is attacked.
        labels: with `config.labels` "points": y [B, 1, S, S] at the labelled pixels.
        known: and which pixels those are [B, 1, S, S].
    """
    last = snapshots[-1]
    maps = [network.saliency(images)[0] for network in snapshots[:-1]]
    last_map, features = last.saliency(images)
    clean = mean_probability([*maps, last_map])

    def last_logits(x: Tensor) -> Tensor:
        return last(last.normalise(x)).logits[last.prediction]  # type: ignore[no-any-return]

    def ensemble_logits(x: Tensor) -> Tensor:
        return torch.logit(mean_probability(network.saliency(x)[0] for network in snapshots), NEVER_CERTAIN)

    logits_of, own = (last_logits, last_map) if config.model == "last" else (ensemble_logits, clean)
    target = (own > 0.5).to(images.dtype) if config.labels == "prediction" or labels is None else labels
    weight = None if config.labels == "prediction" else known
    attacked = pgd(images, logits_of, target, epsilon=config.epsilon, alpha=config.alpha, steps=config.steps, weight=weight)
    after = mean_probability(network.saliency(attacked)[0] for network in snapshots)
    return Estimate(*(tensor.float().cpu().numpy() for tensor in (clean[:, 0], after[:, 0], features)))
