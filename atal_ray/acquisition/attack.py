"""The adversarial attack that triggers uncertainty: PGD on the image (AATU, Eq. 1)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, binary_cross_entropy_with_logits, interpolate

from atal_ray.errors import DataError


def _check(images: Tensor, labels: Tensor | None, weight: Tensor | None) -> None:
    batch, _, height, width = images.shape
    for name, values in (("labels", labels), ("weight", weight)):
        if values is not None and values.shape != (batch, 1, height, width):
            raise DataError(
                f"attack: {name} have shape {tuple(values.shape)}, "
                f"expected {(batch, 1, height, width)} as the images"
            )
    if images.is_cuda:  # to look at the values would wait for it
        return
    low, high = (float(bound) for bound in torch.aminmax(images))
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"attack: image values span [{low:g}, {high:g}]: "
            "pass them in [0, 1] and normalise inside logits_of"
        )


def pgd(
    images: Tensor,
    logits_of: Callable[[Tensor], Tensor],
    labels: Tensor | None = None,
    *,
    epsilon: float,
    alpha: float,
    steps: int,
    weight: Tensor | None = None,
) -> Tensor:
    """Projected gradient descent (PGD): ascent on the loss from the clean image (Eq. 1).

    x_0 = x; x_(t+1) = clip(x_t + alpha sign(gradient of BCE(logits_of(x_t), y)), x - epsilon, x + epsilon),
    and clipped to [0, 1].

    The loss is summed, not averaged, over the batch: the gradient of an image does not depend on the others,
    as long as `logits_of` treats images apart (batch norms in evaluation mode). Only the input is
    differentiated: parameters keep the `.grad` they had. A channel value whose gradient is exactly zero does
    not change; that happens where every logit it reaches is so confident that its sigmoid rounds to the
    label.

    The first pass is of the clean images. On a CPU a step that changes no image is the last, for all later
    ones would repeat it. A single image never leaves the batch, because the last bits of convolutions depend
    on its size.

    Args:
        images: [B, 3, H, W] in [0, 1], before normalisation.
        logits_of: maps images to logits [B, 1, H, W].
        labels: [B, 1, H, W] of 0 or 1, y in Eq. 1; what `logits_of` itself predicts on the clean images when
            absent.
        epsilon: largest change of a channel value.
        alpha: change of a channel value in one step.
        steps: number of steps.
        weight: [B, 1, H, W], the pixels that count (1) or not (0); all of them when absent.

    Returns:
        Adversarial images [B, 3, H, W] within epsilon of the clean ones and in [0, 1].

    Raises:
        DataError: shapes differ, or images on a CPU leave [0, 1].
    """
    _check(images, labels, weight)
    clean = images.detach()
    target = None if labels is None else labels.to(clean.dtype)
    counts = None if weight is None else weight.to(clean.dtype)
    lowest, highest = (clean - epsilon).clamp(min=0), (clean + epsilon).clamp(max=1)
    adversarial = clean
    for _ in range(steps):
        adversarial = adversarial.detach().requires_grad_()
        with torch.enable_grad():  # the caller scores under no_grad
            logits = logits_of(adversarial)
            if target is None:
                target = (logits > 0).to(clean.dtype)
            loss = binary_cross_entropy_with_logits(logits, target, weight=counts, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, adversarial)
        before = adversarial.detach()
        adversarial = torch.clamp(before + alpha * gradient.sign(), lowest, highest)
        if not clean.is_cuda and torch.equal(adversarial, before):  # a GPU would have to be waited for
            break
    return adversarial.detach()


def pgd_resized(
    images: Tensor,
    logits_of: Callable[[Tensor], Tensor],
    labels: Tensor | None = None,
    *,
    side: int,
    epsilon: float,
    alpha: float,
    steps: int,
    weight: Tensor | None = None,
) -> Tensor:
    """`pgd` of smaller images; the change that it makes is enlarged and added to the images.

    Images are reduced bilinearly with smoothing, the change is enlarged bilinearly. A pixel of the small
    image has weight 1 where one of the pixels that it covers has, and label 1 where one of those with weight
    has.

    Args:
        images: [B, 3, H, W] in [0, 1], before normalisation.
        logits_of: maps images [B, 3, side, side] to logits [B, 1, side, side].
        labels: as for `pgd`, [B, 1, H, W].
        side: height and width of the images that are attacked.
        epsilon: largest change of a channel value.
        alpha: change of a channel value in one step.
        steps: number of steps.
        weight: as for `pgd`, [B, 1, H, W].

    Returns:
        Adversarial images [B, 3, H, W] within epsilon of the clean ones and in [0, 1].

    Raises:
        DataError: shapes differ, or images on a CPU leave [0, 1].
    """
    _check(images, labels, weight)
    clean, shape = images.detach(), images.shape[-2:]
    small = interpolate(clean, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
    counts = None if weight is None else adaptive_max_pool2d(weight.to(clean.dtype), side)
    target = None
    if labels is not None:
        counted = labels.to(clean.dtype) * (1 if weight is None else weight)
        target = adaptive_max_pool2d(counted, side)
    attacked = pgd(small, logits_of, target, epsilon=epsilon, alpha=alpha, steps=steps, weight=counts)
    change = interpolate(attacked - small, shape, mode="bilinear").clamp(-epsilon, epsilon)
    return (clean + change).clamp(0, 1)
