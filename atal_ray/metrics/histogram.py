"""Pixels counted by grey level, mask and quadrant: all that every metric but the weighted F-measure needs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError

THRESHOLDS = 256
EXACT_IN_FLOAT32 = 2**24
DEPTHS = {"uint8": 255, "uint16": 65_535}

Saliency = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Levels = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """A saliency map x = levels / span beside its mask, as numbers of pixels."""

    levels: Levels
    """[L] ascending; integers for integer maps, whose sums are then exact."""
    span: int
    """What x = 1 is in levels; 1 for float maps."""
    bins: NDArray[np.int64]
    """[L] floor(255 x) of each level, the largest threshold that it reaches."""
    above_zero: NDArray[np.bool_]
    """[L] whether the level is above 0 in the map as it was given."""
    quadrants: Counts
    """[4, 2, L]: quadrants around the mask's centroid, background and salient, levels."""

    @cached_property
    def counts(self) -> Counts:
        """[2, L]: background and salient pixels of each level."""
        return np.asarray(self.quadrants.sum(axis=0))

    @cached_property
    def background(self) -> int:
        """Background pixels of the mask."""
        return int(self.counts[0].sum())

    @cached_property
    def salient(self) -> int:
        """Salient pixels of the mask."""
        return int(self.counts[1].sum())

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.background + self.salient

    @cached_property
    def total(self) -> float:
        """Sum of the levels of all pixels; an int for integer maps."""
        return cast("float", (self.counts.sum(axis=0) @ self.levels).item())

    @cached_property
    def at_least(self) -> Counts:
        """[2, 256]: background and salient pixels in {floor(255 x) >= k} for the thresholds k = 0..255."""
        reached = np.zeros((2, len(self.levels) + 1), np.int64)
        reached[:, :-1] = np.cumsum(self.counts[:, ::-1], axis=1)[:, ::-1]
        return reached[:, np.searchsorted(self.bins, np.arange(THRESHOLDS))]

    @cached_property
    def adaptive(self) -> Counts:
        """[2, 1]: background and salient pixels in {x >= min(2 mean(x), 1)}; exact for integer maps."""
        reached = self.levels * self.pixels >= min(2 * self.total, self.span * self.pixels)
        return self.counts @ reached[:, None]

    @cached_property
    def nonzero(self) -> Counts:
        """[2, 1]: background and salient pixels that are above 0 in the map as it was given."""
        return self.counts @ self.above_zero[:, None]


def tally(saliency: Saliency, mask: Mask, name: str = "saliency map") -> Tally:
    """Count the pixels of a saliency map and its mask, in one pass.

    An integer map is stretched to x = (level - lowest) / (highest - lowest), unless it is constant, as in
    PySODMetrics 1.6.2; a float map is taken as it is.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W].
        name: what to call the image in the message.

    Raises:
        DataError: see `check_pair`.
    """
    check_pair(saliency, mask, name)
    if saliency.dtype == np.uint8:
        given: Levels = np.arange(THRESHOLDS)
        quadrants = count_quadrants(saliency, THRESHOLDS, mask)
    else:
        found, index = np.unique(saliency, return_inverse=True)
        given = found.astype(np.int64) if saliency.dtype == np.uint16 else found.astype(np.float64)
        quadrants = count_quadrants(index.reshape(mask.shape), len(found), mask)
    if saliency.dtype.kind == "f":
        return Tally(given, 1, (given * (THRESHOLDS - 1)).astype(np.int64), given > 0, quadrants)
    depth = DEPTHS[saliency.dtype.name]
    low, high = int(saliency.min()), int(saliency.max())
    offset, span = (low, high - low) if high > low else (0, depth)
    values = given / depth  # the reference's order of operations, whose rounding decides some floors
    x = (values - offset / depth) / ((offset + span) / depth - offset / depth)
    x = x.clip(0, 1)  # absent levels may lie outside
    return Tally(given - offset, span, (x * (THRESHOLDS - 1)).astype(np.int64), given > 0, quadrants)


def count_quadrants(index: NDArray[Any], levels: int, mask: Mask) -> Counts:
    """Joint histograms of the four quadrants around the mask's centroid: int64 [4, 2, levels].

    The split lies after the row and column nearest the centroid (halves to even). Without a centroid the
    image is one quadrant.

    Args:
        index: the level of every pixel, integers [H, W].
        levels: how many there are.
        mask: bool [H, W].
    """
    row, column = _centroid(mask)
    part = mask.astype(np.uint8)
    part[:, column:] += 2
    part[row:] += 4
    if index.dtype == np.uint8 and index.size < EXACT_IN_FLOAT32:  # faster, and counts in float32
        counts = cv2.calcHist([part, index], [0, 1], None, [8, levels], [0, 8, 0, levels]).astype(np.int64)
    else:
        counts = np.bincount((part * np.int64(levels) + index).ravel(), minlength=8 * levels)
    return np.asarray(counts.reshape(4, 2, levels))


def _centroid(mask: Mask) -> tuple[int, int]:
    """Rows above and columns left of the split."""
    height, width = mask.shape
    rows, columns = (
        cv2.reduce(mask.view(np.uint8), axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for axis in (1, 0)
    )
    salient = int(rows.sum())
    if salient == 0:
        return height, width
    row, column = (int(count @ np.arange(len(count))) / salient for count in (rows, columns))
    return round(row) + 1, round(column) + 1


def check_pair(saliency: Saliency, mask: Mask, name: str = "saliency map") -> None:
    """Refuse a map and a mask that cannot be compared pixel by pixel.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W], True on the salient object.
        name: what to call the image in the message.

    Raises:
        DataError: another dtype, another number of axes, different sizes, no pixel at all, or a value that is
            NaN or outside [0, 1].
    """
    if saliency.dtype not in (np.uint8, np.uint16, np.float32, np.float64) or saliency.ndim != 2:
        kinds = "uint8, uint16 or float [H, W]"
        raise DataError(f"{name}: the map is {saliency.dtype} {list(saliency.shape)}, expected {kinds}")
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise DataError(
            f"{name}: the mask is {mask.dtype} {list(mask.shape)}, expected bool [H, W]: binarise it by > 128"
        )
    if saliency.shape != mask.shape:
        sizes = f"the map has {list(saliency.shape)} rows and columns, its mask {list(mask.shape)}"
        raise DataError(f"{name}: {sizes}: resize the map to the mask, never the mask")
    if saliency.size == 0:
        raise DataError(f"{name}: an image of {list(saliency.shape)} rows and columns has no pixel to score")
    if saliency.dtype.kind == "f" and not (saliency.min() >= 0 and saliency.max() <= 1):
        raise DataError(f"{name}: a value is NaN or outside [0, 1]: pass the sigmoid of the logits")
