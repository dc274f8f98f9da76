"""Crop, flip and resize of one training image, applied to pixels and to coordinates alike."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", np.uint8, np.float32)

CROP_PART = 8  # F3Net cuts up to 1/8 of each side


@dataclass(frozen=True)
class Geometry:
    """A crop of the original image, an optional flip, and the side of the square that it becomes."""

    left: int
    top: int
    width: int
    height: int
    flip: bool
    size: int

    @classmethod
    def whole(cls, height: int, width: int, size: int) -> "Geometry":
        """The image as it is, resized to the square."""
        return cls(0, 0, width, height, False, size)

    @classmethod
    def random(cls, height: int, width: int, size: int, rng: np.random.Generator) -> "Geometry":
        """F3Net's augmentation: up to 1/8 of each side cut away at a random offset, a flip with p = 1/2."""
        cut_y = int(rng.integers(max(1, height // CROP_PART)))
        cut_x = int(rng.integers(max(1, width // CROP_PART)))
        top, left = int(rng.integers(cut_y + 1)), int(rng.integers(cut_x + 1))
        return cls(left, top, width - cut_x, height - cut_y, bool(rng.integers(2)), size)

    def image(self, image: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
        """The image [H, W, 3], or soft mask [H, W], as a square of side `size` of the same type, bilinear."""
        crop = image[self.top : self.top + self.height, self.left : self.left + self.width]
        crop = cv2.flip(crop, 1) if self.flip else crop
        square = cv2.resize(crop, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(square, image.dtype)

    def to_target(self, xy: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The target pixel in which the centre of each original pixel falls, and which lie inside the crop.

        Args:
            xy: column and row in the original image [N, 2].

        Returns:
            Column and row in the square, int64 [N, 2], and a bool [N] that is False outside the crop.
        """
        sides = np.array([self.width, self.height])
        offset = xy.astype(np.int64) - np.array([self.left, self.top])
        if self.flip:
            offset[:, 0] = self.width - 1 - offset[:, 0]
        inside = ((offset >= 0) & (offset < sides)).all(1)
        placed = (2 * offset + 1) * self.size // (2 * sides)  # floor((offset + 0.5) / side * size), exactly
        return np.clip(placed, 0, self.size - 1), inside

    def source(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The original row and column in which the centre of each row and column of the square falls."""
        steps = 2 * np.arange(self.size, dtype=np.int64) + 1
        columns = self.left + steps * self.width // (2 * self.size)
        return self.top + steps * self.height // (2 * self.size), columns[::-1] if self.flip else columns
