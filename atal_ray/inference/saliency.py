"""Saliency maps at the size of an image, from the logits of frozen networks."""

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from atal_ray.networks.protocol import SaliencyNetwork


@torch.no_grad()
def predict(snapshots: Sequence[SaliencyNetwork], images: Tensor) -> Tensor:
    """Logits [L, B, 1, S, S] of every snapshot for images [B, 3, S, S] in [0, 1]."""
    return torch.stack(
        [network(network.normalise(images)).logits[network.prediction] for network in snapshots]
    )


def saliency_maps(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    """Saliency maps [L, H, W] at the original size, where the logits [L, 1, S, S] are, which are resized
    (bilinear) before the sigmoid.
    """
    resized = functional.interpolate(logits.float(), shape, mode="bilinear", align_corners=False)
    return torch.sigmoid(resized)[:, 0]
