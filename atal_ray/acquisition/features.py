"""Decoder features of single pixels."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError, DivergedError

if TYPE_CHECKING:
    from torch import Tensor

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class FeatureCells:
    """Some cells of a feature map [C, h, w]: those that the samples to come are made of."""

    values: NDArray[np.float32]
    """[n, C]"""
    place: NDArray[np.int32]
    """Which row of `values` each cell is [h, w]; -1 where it was left out."""

    @property
    def shape(self) -> tuple[int, ...]:
        """C, h and w."""
        return (self.values.shape[1], *self.place.shape)


def neighbours(
    position: NDArray[np.float64], size: int, length: int
) -> tuple[Indices, Indices, NDArray[np.float32]]:
    """The two cells of a feature map between whose centres a position lies, and how far it is from the first.

    Args:
        position: on the query grid, along one axis [N].
        size: cells of the query grid along the axis.
        length: of the feature map.
    """
    scaled = np.clip((position + 0.5) * length / size - 0.5, 0, length - 1)
    before = np.floor(scaled).astype(np.int64)
    after = np.minimum(before + 1, length - 1)
    return before, after, (scaled - before).astype(np.float32)


def _gather(
    features: "NDArray[np.generic] | Tensor | FeatureCells", rows: Indices, columns: Indices
) -> NDArray[np.float32]:
    if isinstance(features, FeatureCells):
        places = features.place[rows, columns]
        if places.min(initial=0) < 0:
            raise DataError("features: a sample needs a cell that was left out")
        return features.values[places].T
    if not isinstance(features, np.ndarray):
        import torch  # which takes two seconds to load; where there is a tensor, it is there

        cells = torch.from_numpy(rows * features.shape[2] + columns).to(features.device)
        # On the CPU index_select is many times faster than indexing with two tensors.
        picked = features.detach().flatten(1).index_select(1, cells).float()
        return np.asarray(picked.cpu().numpy(), np.float32)
    return features[:, rows, columns].astype(np.float32)


def sample_bilinear(
    features: "NDArray[np.generic] | Tensor | FeatureCells", xy: NDArray[np.floating[Any]], size: int
) -> NDArray[np.float32]:
    """Bilinear samples of a feature map at positions of the query grid (half-pixel centres, borders clamped).

    Only the four neighbours of each position leave the device; they are blended on the CPU, so that a GPU
    gives the same bits.

    Args:
        features: [C, h, w] over the same square as the grid, at any resolution.
        xy: [N, 2] column and row in grid coordinates; an integer is the centre of a cell.
        size: side of the grid in cells.

    Returns:
        [N, C] float32.

    Raises:
        DataError: `features` or `xy` has another number of axes, or a cell that is needed was left out.
        DivergedError: a feature that a sample is made of is not finite.
    """
    if len(features.shape) != 3 or xy.ndim != 2 or xy.shape[1] != 2:
        raise DataError(
            f"features {tuple(features.shape)} and positions {xy.shape}: expected [C, h, w] and [N, 2]"
        )
    channels, height, width = features.shape
    positions = xy.astype(np.float64)
    left, right, across = neighbours(positions[:, 0], size, width)
    top, bottom, down = neighbours(positions[:, 1], size, height)
    rows, columns = np.concatenate([top, top, bottom, bottom]), np.concatenate([left, right, left, right])
    corners = _gather(features, rows, columns).reshape(channels, 4, len(positions))
    if not np.isfinite(corners).all():
        raise DivergedError(
            "decoder features: one is not finite; the network has left the range of its numbers, so start "
            "another campaign with a lower train.lr-max"
        )
    upper = corners[:, 0] * (1 - across) + corners[:, 1] * across
    lower = corners[:, 2] * (1 - across) + corners[:, 3] * across
    return np.ascontiguousarray((upper * (1 - down) + lower * down).T)
