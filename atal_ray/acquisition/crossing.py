"""What leaves the GPU of the networks: of the maps of a batch only candidates, and the features around them.

Nothing here depends on the kind of device; on a CPU the whole maps are arrays already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atal_ray.acquisition.features import FeatureCells, neighbours
from atal_ray.acquisition.grid import grid_position
from atal_ray.acquisition.pick import PixelPool
from atal_ray.acquisition.predictions import Predictions
from atal_ray.acquisition.seen import Seen

Indices = NDArray[np.int64]


def bring_candidates(
    found: Predictions, scores: Tensor, pools: Sequence[PixelPool], counts: Sequence[int]
) -> list[tuple[PixelPool, Seen]]:
    """The candidates of each image of a batch, and what a strategy needs of them, on the CPU.

    Of equal scores all cross that may be candidates, so that the strategy breaks the tie as it always does.
    The device is waited for a fixed number of times, whatever the number of images.

    Args:
        found: what the members say of B images.
        scores: [B, S, S], where the members are.
        pools: the pixels of each image that may be asked for.
        counts: how many of its most uncertain pixels a strategy looks at.

    Returns:
        For each image the pool without all other pixels, and its maps: 0 at these, all scores NaN where one
        of the image is not finite. `Seen.near` holds the features.
    """
    cells = _most_uncertain(scores, pools, counts)
    maps = [part for part in (scores, found.clean, found.attacked) if part is not None]
    values = torch.stack([part.flatten()[cells] for part in maps]).cpu().numpy()
    finite = scores.isfinite().flatten(1).all(1).cpu().numpy()
    near = [None] * len(pools) if found.features is None else _around(found.features, cells, pools)
    size = scores[0].numel()
    brought = []
    for number, (own, part) in enumerate(_of_images(cells.cpu().numpy(), size, len(pools))):
        pool = pools[number]
        shape, candidates = pool.free.shape, np.zeros(size, bool)
        candidates[own] = True
        dense = np.zeros((len(maps), size), np.float32)
        dense[:, own] = values[:, part]
        score, clean, *attacked = dense.reshape(len(maps), *shape)
        if not finite[number]:
            score[:] = np.nan
        seen = Seen(clean, score=score, near=near[number])
        seen = replace(seen, attacked=attacked[0]) if attacked else seen
        brought.append((pool.of(candidates.reshape(shape)), seen))
    return brought


def _of_images(flat: Indices, size: int, images: int) -> Iterator[tuple[Indices, slice]]:
    """Of increasing indices into [B, size] those of each image, from 0, and which they are."""
    starts = np.searchsorted(flat, size * np.arange(images + 1))
    for number in range(images):
        part = slice(int(starts[number]), int(starts[number + 1]))
        yield flat[part] - size * number, part


def _most_uncertain(scores: Tensor, pools: Sequence[PixelPool], counts: Sequence[int]) -> Tensor:
    """The free cells whose score is not below the n-th largest of their image, as increasing indices into
    [B, S, S].
    """
    free = torch.from_numpy(np.stack([pool.free for pool in pools])).to(scores.device)
    rows = scores.masked_fill(~free, -torch.inf).flatten(1)
    row_length = rows.shape[1]
    ranks = [row_length - min(max(count, 1), row_length) + 1 for count in counts]
    least = [row.kthvalue(rank).values for row, rank in zip(rows, ranks, strict=True)]
    return (free.flatten(1) & (rows >= torch.stack(least)[:, None])).flatten().nonzero()[:, 0]


def _around(features: Tensor, cells: Tensor, pools: Sequence[PixelPool]) -> list[FeatureCells]:
    """The features [B, C, h, w] from which candidates and labelled points are sampled, of each image."""
    images, channels, height, width = features.shape
    side = len(pools[0].free)
    needed = torch.zeros(images * height * width, dtype=torch.bool, device=features.device)
    image, row, column = cells // side**2, cells // side % side, cells % side
    centres = np.arange(side, dtype=np.float64)
    tables = np.stack([*neighbours(centres, side, height)[:2], *neighbours(centres, side, width)[:2]])
    above, below, left, right = torch.from_numpy(tables).to(features.device)
    for down in (above, below):
        for across in (left, right):
            needed.index_fill_(0, (image * height + down[row]) * width + across[column], True)
    of_labelled = _around_labelled(pools, side, height, width)
    needed.index_fill_(0, torch.from_numpy(of_labelled).to(features.device), True)
    kept = needed.nonzero()[:, 0]
    values = features.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, kept).cpu().numpy()
    found = []
    for own, part in _of_images(kept.cpu().numpy(), height * width, images):
        place = np.full(height * width, -1, np.int32)
        place[own] = np.arange(len(own))
        found.append(FeatureCells(values[part], place.reshape(height, width)))
    return found


def _around_labelled(pools: Sequence[PixelPool], side: int, height: int, width: int) -> Indices:
    """The cells of the feature maps [B, h, w] from which labelled points are sampled, as indices [n]."""
    found = [np.empty(0, np.int64)]
    for number, pool in enumerate(pools):
        positions = grid_position(pool.labelled, side, pool.height, pool.width).astype(np.float64)
        for down in neighbours(positions[:, 1], side, height)[:2]:
            for across in neighbours(positions[:, 0], side, width)[:2]:
                found.append((number * height + down) * width + across)
    return np.concatenate(found)
