"""Losses on full masks, as each network publishes them: g is the target in [0, 1], p the sigmoid of the
logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from atal_ray.config.training import Loss
from atal_ray.training.losses import check_shapes, over_heads

WINDOW = 31  # side of F3Net's neighbourhood, in pixels of the batch
EMPHASIS = 5
IOU_SMOOTHING = 1.0
CEL_EPSILON = 1e-6


def mean_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy -g log p - (1 - g) log(1 - p), averaged over all pixels of the batch (all three
    networks).

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    return binary_cross_entropy_with_logits(logits[:, 0], targets)


def edge_weight(targets: Tensor) -> Tensor:
    """Weight of each pixel, [B, H, W] in [1, 6]: w = 1 + 5 |mean of g over 31x31 pixels - g| (F3Net's code).

    Outside the image g counts as 0, also in the number of pixels, so a salient pixel at the border weighs
    more.
    """
    reach = WINDOW // 2
    rows = avg_pool2d(
        targets[:, None], (WINDOW, 1), stride=1, padding=(reach, 0)
    )  # one side after the other: much less work
    means = avg_pool2d(rows, (1, WINDOW), stride=1, padding=(0, reach))
    return 1 + EMPHASIS * (means[:, 0] - targets).abs()


def weighted_bce(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy with sum(w bce) / sum(w) for each image, averaged over the images (what F3Net's
    paper describes).

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].
        weight: w, [B, H, W].

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    bce = binary_cross_entropy_with_logits(logits[:, 0], targets, reduction="none")
    return ((weight * bce).sum((1, 2)) / weight.sum((1, 2))).mean()


def iou_loss(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - (sum(w p g) + 1) / (sum(w (p + g)) - sum(w p g) + 1) for each image, averaged over the images.

    With `edge_weight` it is F3Net's weighted IoU (its code). Without a weight, w = 1, it is the plain IoU
    that PFSNet names; that PFSNet adds the same 1 and averages over images too is inferred.

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].
        weight: w, [B, H, W].

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    p = torch.sigmoid(logits[:, 0])
    w = torch.ones_like(p) if weight is None else weight
    shared = (w * p * targets).sum((1, 2))
    return (1 - (shared + IOU_SMOOTHING) / ((w * (p + targets)).sum((1, 2)) - shared + IOU_SMOOTHING)).mean()


def cel(logits: Tensor, targets: Tensor) -> Tensor:
    """Consistency-enhanced loss (sum(p - p g) + sum(g - p g)) / (sum(p) + sum(g) + 1e-6) over the whole batch
    (MINet's code).

    Of several data-parallel workers each takes its own share of the batch as the whole.

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    p = torch.sigmoid(logits[:, 0])
    shared = p * targets
    return ((p - shared).sum() + (targets - shared).sum()) / (p.sum() + targets.sum() + CEL_EPSILON)


def dense_loss(logits: Sequence[Tensor], targets: Tensor, weights: Sequence[float], kind: Loss) -> Tensor:
    """Weighted sum over the heads of a network of the loss that its recipe names.

    "bce+wiou" is F3Net as published: its code asks for a BCE of each pixel by an argument that PyTorch reads
    as the mean, and sum(w * mean) / sum(w) is the mean again. "wbce+wiou" weights the BCE as was meant.

    Args:
        logits: one [B, 1, H, W] for each head.
        targets: float [B, H, W] in [0, 1].
        weights: one for each head.
        kind: the terms, joined by "+".

    Raises:
        ConfigError: not one weight for each head.
        DataError: shapes differ.
    """
    weight = edge_weight(targets) if "wiou" in kind else None  # once for all heads

    def of_head(head: Tensor) -> Tensor:
        bce = (
            mean_bce(head, targets)
            if weight is None or kind == "bce+wiou"
            else weighted_bce(head, targets, weight)
        )
        if kind == "bce":
            return bce
        return bce + (cel(head, targets) if kind == "bce+cel" else iou_loss(head, targets, weight))

    return over_heads(of_head, logits, weights)
