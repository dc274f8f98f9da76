"""Bilinear resizing as two matrix products, one for the rows and one for the columns.

On a GPU the backward pass of `interpolate` adds with atomics, which is slow in bfloat16 and gives other last
bits in each run. The backward pass of a product is a product.
"""

from functools import lru_cache

import torch
from torch import Tensor


def bilinear(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Resize maps [B, C, H, W] to `size` (height, width), as `torch.nn.functional.interpolate` does.

    Maps of one channel are resized in float32 whatever their type, for they are logits; others in their own
    type. The memory format of the input is kept.
    """
    if x.shape[1] == 1:
        with torch.autocast(x.device.type, enabled=False):
            return _planar(x.float(), size, align_corners)
    if x.is_contiguous(memory_format=torch.channels_last):
        return _channels_last(x, size, align_corners)
    return _planar(x, size, align_corners)


def _planar(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    batch, channels, height, width = x.shape
    down, across = _both(x, size, align_corners)
    rows = torch.mm(x.reshape(-1, width), across.T).view(batch * channels, height, size[1])
    return torch.bmm(down.expand(len(rows), -1, -1), rows).view(batch, channels, *size)


def _channels_last(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    batch, channels, height, width = x.shape
    down, across = _both(x, size, align_corners)
    stored = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    rows = torch.bmm(down.expand(batch, -1, -1), stored).view(batch * size[0], width, channels)
    resized = torch.bmm(across.expand(len(rows), -1, -1), rows)
    return resized.view(batch, *size, channels).permute(0, 3, 1, 2)


def _both(x: Tensor, size: tuple[int, int], align_corners: bool) -> tuple[Tensor, Tensor]:
    """The weights of the rows and of the columns."""
    (height, width), (rows, columns) = x.shape[-2:], size
    return (
        weights(height, rows, align_corners, x.device, x.dtype),
        weights(width, columns, align_corners, x.device, x.dtype),
    )


def weights(old: int, new: int, align_corners: bool, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The share of each of `old` pixels in each of `new` ones, [new, old]; the same tensor at every call.

    A compiler gets the operations that make it, for a tensor from elsewhere would be no constant to it.
    """
    make = _made if torch.compiler.is_compiling() else _kept
    return make(old, new, align_corners, device, dtype)


def _made(old: int, new: int, align_corners: bool, device: torch.device, dtype: torch.dtype) -> Tensor:
    return shares(old, new, align_corners, device).to(dtype)


_kept = lru_cache(maxsize=1024)(_made)


def shares(old: int, new: int, align_corners: bool, device: torch.device) -> Tensor:
    """The weights [new, old] of `interpolate`'s mode bilinear: max(0, 1 - |place of the new pixel - old|)."""
    steps = torch.arange(new, device=device, dtype=torch.float32)
    if align_corners:
        place = steps * ((old - 1) / max(new - 1, 1))
    else:
        place = ((steps + 0.5) * (old / new) - 0.5).clamp(0, old - 1)
    pixels = torch.arange(old, device=device, dtype=torch.float32)
    return (1 - (place[:, None] - pixels).abs()).clamp(min=0)
