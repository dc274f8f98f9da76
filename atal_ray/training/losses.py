"""Losses on labelled points, where unlabelled pixels take no part, and what every loss shares."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from atal_ray.errors import ConfigError, DataError

IGNORED = 255
"""Value of a label map where the pixel is unlabelled, or labelled unsure."""


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy averaged over the labelled pixels of the batch.

    Without any labelled pixel it is a zero that still depends on the logits: every data-parallel worker needs
    a backward pass.

    Args:
        logits: [B, 1, H, W].
        labels: uint8 [B, H, W] of 0, 1, or 255 where the pixel is ignored.

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, labels)
    labelled = labels != IGNORED
    target = torch.where(labelled, labels, 0).to(logits.dtype)
    # A weighted sum instead of indexing: the GPU need not be waited for, and its backward pass is
    # deterministic.
    total = binary_cross_entropy_with_logits(
        logits[:, 0], target, weight=labelled.to(logits.dtype), reduction="sum"
    )
    return total / labelled.sum().clamp(min=1)


def point_loss(logits: Sequence[Tensor], labels: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum of `masked_bce` over the heads of a network.

    Args:
        logits: one [B, 1, H, W] for each head.
        labels: uint8 [B, H, W], 255 where the pixel is ignored.
        weights: one for each head.

    Raises:
        ConfigError: not one weight for each head.
        DataError: shapes differ.
    """
    return over_heads(lambda head: masked_bce(head, labels), logits, weights)


def over_heads(
    loss: Callable[[Tensor], Tensor], logits: Sequence[Tensor], weights: Sequence[float]
) -> Tensor:
    """Weighted sum of a loss over the heads of a network.

    Args:
        loss: maps the logits [B, 1, H, W] of one head to a scalar.
        logits: one [B, 1, H, W] for each head.
        weights: one for each head.

    Raises:
        ConfigError: not one weight for each head.
    """
    if len(logits) != len(weights) or not weights:
        raise ConfigError(
            f"loss: {len(logits)} heads and {len(weights)} weights; "
            "the network must name one weight for each head"
        )
    return torch.stack([weight * loss(head) for head, weight in zip(logits, weights, strict=True)]).sum()


def check_shapes(logits: Tensor, targets: Tensor) -> None:
    """Raise DataError unless logits are [B, 1, H, W] and targets [B, H, W]."""
    if logits.ndim != 4 or logits.shape[1] != 1 or targets.shape != logits[:, 0].shape:
        raise DataError(
            f"loss: logits {tuple(logits.shape)} and labels {tuple(targets.shape)} do not match "
            "as [B, 1, H, W] and [B, H, W]"
        )
