"""Losses on full masks, as each network publishes them.

In the equations g is the target in [0, 1] and p the sigmoid of the logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from atal_ray.config.training import Loss
from atal_ray.labels.confidence import labels_of
from atal_ray.training.losses import check_shapes, over_heads

WINDOW = 31  # side of F3Net's neighbourhood, in pixels of the batch
EMPHASIS = 5
IOU_SMOOTHING = 1.0
CEL_EPSILON = 1e-6
LEAST = 1e-6
"""Smallest sum of confidences that a mean is divided by; a batch without any has the loss 0."""


def mean_bce(logits: Tensor, targets: Tensor, confidence: Tensor | None = None) -> Tensor:
    """Binary cross-entropy -g log p - (1 - g) log(1 - p), averaged over all pixels of the batch.

    All three networks use it.

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].
        confidence: how much each pixel counts in the mean, [B, H, W]; all alike if absent.

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    if confidence is None:
        return binary_cross_entropy_with_logits(logits[:, 0], targets)
    total = binary_cross_entropy_with_logits(logits[:, 0], targets, weight=confidence, reduction="sum")
    return total / confidence.sum().clamp(min=LEAST)


def edge_weight(targets: Tensor) -> Tensor:
    """Weight of each pixel, [B, H, W] in [1, 6]: w = 1 + 5 |mean of g over 31x31 pixels - g| (F3Net's code).

    Outside the image g counts as 0, and the mean is always over 31x31 pixels, so a salient pixel at the
    border weighs more.

    Args:
        targets: float [B, H, W] in [0, 1].
    """
    reach = WINDOW // 2
    # Down and then across: 62 additions a pixel instead of 961.
    columns = avg_pool2d(targets[:, None], (WINDOW, 1), stride=1, padding=(reach, 0))
    means = avg_pool2d(columns, (1, WINDOW), stride=1, padding=(0, reach))
    return 1 + EMPHASIS * (means[:, 0] - targets).abs()


def weighted_bce(logits: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy sum(w bce) / sum(w) of each image, averaged over the images (F3Net's paper).

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].
        weight: w, [B, H, W].

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    bce = binary_cross_entropy_with_logits(logits[:, 0], targets, reduction="none")
    return ((weight * bce).sum((1, 2)) / weight.sum((1, 2)).clamp(min=LEAST)).mean()


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


def cel(logits: Tensor, targets: Tensor, confidence: Tensor | None = None) -> Tensor:
    """Consistency-enhanced loss (sum(p - p g) + sum(g - p g)) / (sum(p) + sum(g) + 1e-6) (MINet's code).

    The sums run over the whole batch; of several data-parallel workers each sums over its own share.

    Args:
        logits: [B, 1, H, W].
        targets: float [B, H, W] in [0, 1].
        confidence: how much each pixel counts in the sums, [B, H, W]; all alike if absent.

    Raises:
        DataError: shapes differ.
    """
    check_shapes(logits, targets)
    p, c = torch.sigmoid(logits[:, 0]), torch.ones_like(targets) if confidence is None else confidence
    shared = c * p * targets
    p, targets = c * p, c * targets
    return ((p - shared).sum() + (targets - shared).sum()) / (p.sum() + targets.sum() + CEL_EPSILON)


def dense_loss(
    logits: Sequence[Tensor],
    targets: Tensor,
    weights: Sequence[float],
    kind: Loss,
    *,
    by_confidence: bool = False,
) -> Tensor:
    """Weighted sum over the heads of a network of the loss that its recipe names.

    "bce+wiou" is F3Net as published: its code wants the BCE of each pixel, but passes an argument that
    PyTorch reads as "average", and sum(w * mean) / sum(w) is the mean again. "wbce+wiou" weights the BCE as
    its paper describes.

    Args:
        logits: one [B, 1, H, W] for each head.
        targets: float [B, H, W] in [0, 1].
        weights: one for each head.
        kind: the terms, joined by "+".
        by_confidence: targets are soft masks of `labels.confidence`: each pixel counts by its confidence in
            every mean and sum.

    Raises:
        ConfigError: not one weight for each head.
        DataError: shapes differ.
    """
    of_pixels, of_images = dense_terms(logits, targets, weights, kind, by_confidence=by_confidence)
    return of_pixels if of_images is None else of_pixels + of_images


def dense_terms(
    logits: Sequence[Tensor],
    targets: Tensor,
    weights: Sequence[float],
    kind: Loss,
    *,
    by_confidence: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`dense_loss` in two parts, which data-parallel workers share in different ways: the mean over the
    pixels of the batch, and what is a mean over its images; None where there is no such term.
    """
    confidence = None
    if by_confidence:
        targets, confidence = labels_of(targets)
    weight = edge_weight(targets) if "wiou" in kind else None  # once for all heads
    if confidence is not None:
        weight = confidence if weight is None else weight * confidence

    def of_pixels(head: Tensor) -> Tensor:
        if weight is not None and kind == "wbce+wiou":
            return weighted_bce(head, targets, weight)
        return mean_bce(head, targets, confidence)

    def of_images(head: Tensor) -> Tensor:
        return cel(head, targets, confidence) if kind == "bce+cel" else iou_loss(head, targets, weight)

    first = over_heads(of_pixels, logits, weights)
    return first, None if kind == "bce" else over_heads(of_images, logits, weights)
