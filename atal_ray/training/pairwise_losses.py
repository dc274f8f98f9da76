"""Losses that need no label: neighbours that look alike, and images that are made smaller, should agree."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad, unfold

KERNEL = 5
"""Side of the neighbourhood, in pixels of the quarter-size image."""
POSITION, COLOUR = 6.0, 0.1
"""Widths of the kernel: in pixels of the quarter-size image, and of RGB in [0, 1]."""
QUARTER = 0.25
SMALLER = 0.3
"""Side of the smaller pass over that of the batch."""
STRUCTURE = 0.85
"""Share of the structural similarity in the consistency of scales."""
WINDOW = 3
C1, C2 = 0.01**2, 0.03**2


def local_coherence(saliency: Tensor, images: Tensor) -> Tensor:
    """Local saliency coherence (Yu et al., AAAI 2021), a scalar.

        L = mean over i of sum over j near i of w_ij |p_i - p_j|
        w_ij = exp(-|x_i - x_j|^2 / (2 6^2) - |I_i - I_j|^2 / (2 0.1^2))

    at a quarter of the side, over the 5 x 5 pixels j around i that lie in the image.

    Args:
        saliency: p, [B, 1, S, S] in [0, 1].
        images: RGB in [0, 1], [B, 3, S, S].
    """
    small, colours = (
        interpolate(maps, scale_factor=QUARTER, mode="bilinear", align_corners=False)
        for maps in (saliency, images)
    )
    reach = KERNEL // 2
    steps = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    away = (steps[:, None] ** 2 + steps[None] ** 2).reshape(1, -1, 1)
    # outside the image the padded colour is so far away that its weight is 0
    difference = _neighbours(colours, outside=1e3) - colours.flatten(2)[:, :, None]
    alike = torch.exp(-away / (2 * POSITION**2) - (difference**2).sum(1) / (2 * COLOUR**2))
    apart = (_neighbours(small, outside=0.0) - small.flatten(2)[:, :, None]).abs()[:, 0]
    return (alike * apart).sum(1).mean()


def _neighbours(maps: Tensor, outside: float) -> Tensor:
    """The pixels around each pixel: [B, C, H, W] -> [B, C, 25, H W]."""
    reach = KERNEL // 2
    padded = pad(maps, (reach,) * 4, value=outside)
    return unfold(padded, KERNEL).reshape(maps.shape[0], maps.shape[1], KERNEL**2, -1)


def scale_consistency(
    saliency: Tensor, images: Tensor, predict: Callable[[Tensor], Tensor], multiple: int
) -> Tensor:
    """How much the map of a smaller image differs from the smaller map of the image, a scalar.

        L = mean of 0.85 (1 - SSIM(p', p'')) / 2 + 0.15 |p' - p''|

    with p'' the map of the image at 0.3 of its side, and p' the map of the image resized to that (structure
    consistency, Yu et al., AAAI 2021).

    Args:
        saliency: p, [B, 1, S, S] in [0, 1].
        images: what the network takes, [B, 3, S, S].
        predict: maps such images of a smaller side to saliency maps in [0, 1].
        multiple: the smaller side is a multiple of it.
    """
    side = max(multiple, round(images.shape[-1] * SMALLER / multiple) * multiple)
    smaller = interpolate(images, (side, side), mode="bilinear", align_corners=False)
    expected = interpolate(saliency, (side, side), mode="bilinear", align_corners=False)
    seen = predict(smaller)
    unlike = (1 - structural_similarity(expected, seen)) / 2
    return (STRUCTURE * unlike + (1 - STRUCTURE) * (expected - seen).abs()).mean()


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of each pixel, [B, 1, H, W] in [-1, 1], over windows of 3 x 3 pixels that end at the border.

    Args:
        a: [B, 1, H, W] in [0, 1].
        b: of the same shape.
    """

    def mean(maps: Tensor) -> Tensor:
        return avg_pool2d(maps, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    both = mean(a * b) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + C1) * (2 * both + C2)
    return alike / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))
