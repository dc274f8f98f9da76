"""A batch of images as they were decoded, cropped but not yet resized: the device draws the squares of it.

Images and targets are what `Geometry` and `draw_target` make on the CPU: targets exactly, from the same
coordinates, and images but for rounding, at most one level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atal_ray.labels.geometry import Geometry
from atal_ray.labels.target import draw_target


@dataclass(frozen=True)
class RawSample:
    """One cropped image and the labels of its pixels, before flip and resize."""

    image: npt.NDArray[np.uint8]
    """[h, w, 3]."""
    known: npt.NDArray[np.uint8]
    """[h, w]: 0, 1, or 255 where nothing is known."""
    flip: bool
    clicks: npt.NDArray[np.int64]
    """Row, column and label [N, 3] of the clicks in the target, no two on one pixel."""

    @classmethod
    def cut(
        cls,
        image: npt.NDArray[np.uint8],
        known: npt.NDArray[np.uint8],
        xy: npt.NDArray[np.integer],
        labels: npt.NDArray[np.uint8],
        geometry: Geometry,
    ) -> Self:
        """The sample of a decoded image; one whose crop has more pixels than the square is resized here.

        Args:
            image: uint8 [H, W, 3].
            known: label of every original pixel [H, W].
            xy: column and row of the points [N, 2], in the order of asking.
            labels: labels of the points [N].
            geometry: crop, flip and size.
        """
        if 2 * geometry.height * geometry.width > 3 * geometry.size**2:
            square, target = geometry.image(image), draw_target(known, xy, labels, geometry)
            return cls(square, target, False, np.empty((0, 3), np.int64))
        placed, inside = geometry.to_target(xy)
        last = {(y, x): label for (x, y), label in zip(placed[inside].tolist(), labels[inside], strict=True)}
        clicks = np.array([(*place, label) for place, label in last.items()], np.int64).reshape(-1, 3)
        box = (
            slice(geometry.top, geometry.top + geometry.height),
            slice(geometry.left, geometry.left + geometry.width),
        )
        return cls(image[box], known[box], geometry.flip, clicks)


@dataclass(frozen=True)
class RawBatch:
    """The pixels of a batch in one row of bytes, and where each image lies in it."""

    size: int
    """Side of the squares."""
    pixels: Tensor
    """uint8 [N]: each image [h, w, 3], then the labels of its pixels [h, w]."""
    table: Tensor
    """int64 [B, 5]: where the image begins, where its labels begin, height, width, flip."""
    clicks: Tensor
    """int64 [P, 4]: image in the batch, row and column in the target, label."""

    @classmethod
    def pack(cls, samples: Sequence[RawSample], size: int, *, pin: bool = False) -> Self:
        """Copy samples into one buffer; a pinned one is copied to a GPU without waiting."""
        total = sum(sample.image.size + sample.known.size for sample in samples)
        pixels = torch.empty(total, dtype=torch.uint8, pin_memory=pin)
        rows, clicks, end, target = [], [], 0, pixels.numpy()
        for number, sample in enumerate(samples):
            starts = []
            for part in (sample.image, sample.known):
                target[end : end + part.size].reshape(part.shape)[...] = part
                starts.append(end)
                end += part.size
            rows.append((*starts, *sample.known.shape, int(sample.flip)))
            clicks += [(number, *click) for click in sample.clicks.tolist()]
        tables = (torch.tensor(rows), torch.tensor(clicks, dtype=torch.int64).reshape(-1, 4))
        table, marks = (one.pin_memory() for one in tables) if pin else tables
        return cls(size, pixels, table, marks)

    def to(self, device: torch.device) -> "RawBatch":
        """The batch on a device, copied without waiting where it is pinned."""
        moved = (one.to(device, non_blocking=True) for one in (self.pixels, self.table, self.clicks))
        return RawBatch(self.size, *moved)

    def drawn(self) -> tuple[Tensor, Tensor]:
        """The images uint8 [B, 3, S, S], stored channels-last, and their targets uint8 [B, S, S]."""
        return self._images(), self._targets()

    def _targets(self) -> Tensor:
        """Each target pixel has the label of the pixel in which its centre falls; clicks are drawn on top."""
        _, start, height, width, flip = (column[:, None] for column in self.table.unbind(1))
        steps = 2 * torch.arange(self.size, device=self.table.device) + 1
        rows, columns = steps * height // (2 * self.size), steps * width // (2 * self.size)
        columns = torch.where(flip > 0, columns.flip(1), columns)
        places = (start + rows * width)[:, :, None] + columns[:, None, :]
        targets = self.pixels[places]
        image, row, column, label = self.clicks.unbind(1)
        return targets.index_put_((image, row, column), label.to(torch.uint8))

    def _images(self) -> Tensor:
        """Bilinear between pixel centres, rounded to whole levels, as OpenCV resizes."""
        start, _, height, width, flip = (column[:, None] for column in self.table.unbind(1))
        above, below, down = self._neighbours(height)
        left, right, across = self._neighbours(width)
        left, right = (torch.where(flip > 0, width - 1 - column, column) for column in (left, right))
        across = across[:, None, :, None]

        def between(row: Tensor) -> Tensor:
            """The colours of a row between its columns."""
            places = (start + 3 * row * width)[:, :, None]
            one, other = (self._colours(places + 3 * column[:, None, :]) for column in (left, right))
            return torch.lerp(one, other, across.expand(-1, self.size, -1, 3))

        upper, lower = between(above), between(below)
        levels = torch.lerp(upper, lower, down[:, :, None, None].expand_as(upper))
        return (levels + 0.5).to(torch.uint8).permute(0, 3, 1, 2)

    def _neighbours(self, side: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The two pixels around the centre of each new pixel, and the share of the second; each [B, S]."""
        steps = torch.arange(self.size, device=side.device, dtype=torch.float64)
        place = ((steps + 0.5) * (side / self.size) - 0.5).clamp(min=0)
        first = torch.minimum(place.long(), side - 1)
        return first, torch.minimum(first + 1, side - 1), (place - first).float()

    def _colours(self, places: Tensor) -> Tensor:
        """Red, green and blue, float32 [..., 3], from where red lies."""
        return self.pixels[places[..., None] + torch.arange(3, device=places.device)].float()
