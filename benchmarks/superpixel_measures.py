"""How good are superpixels? Boundary recall, achievable segmentation accuracy, and what clicks get wrong."""

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.labels.points import UNSURE
from atal_ray.labels.regions import region_labels

TOLERANCE = 2
"""Pixels, in rows and columns, that a border of superpixels may lie beside that of the mask."""

Ids = NDArray[np.int32]
Mask = NDArray[np.bool_]


def connected_parts(ids: Ids) -> Ids:
    """A superpixel in several parts (4 neighbours) as several: a click labels only its part."""
    height, width = ids.shape
    joined = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)  # pixels, and what lies between two of them
    joined[::2, ::2] = 1
    joined[1::2, ::2] = ids[1:] == ids[:-1]
    joined[::2, 1::2] = ids[:, 1:] == ids[:, :-1]
    _, parts = cv2.connectedComponents(joined, connectivity=4)
    return np.asarray(parts[::2, ::2] - 1, np.int32)


def border(values: Ids | Mask) -> Mask:
    """The pixels one of whose 4 neighbours has another value."""
    found = np.zeros(values.shape, bool)
    down, across = values[1:] != values[:-1], values[:, 1:] != values[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found


def within(pixels: Mask, distance: int) -> Mask:
    """The pixels at most so many rows and columns from some of those given."""
    side = 2 * distance + 1
    return np.asarray(cv2.dilate(pixels.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def boundary_recall(ids: Ids, mask: Mask) -> float:
    """The share of the mask's border with a border of superpixels within TOLERANCE; 1 without a border."""
    sought = border(mask)
    return float(within(border(ids), TOLERANCE)[sought].mean()) if sought.any() else 1.0


def achievable_accuracy(ids: Ids, mask: Mask) -> float:
    """The share of pixels that are right when each superpixel takes the label of most of its pixels."""
    area, salient = _counts(ids, mask)
    return float(np.maximum(salient, area - salient).sum() / mask.size)


def wrong_share(parts: Ids, mask: Mask, clicks: Mask) -> float:
    """The share of the labelled area that is wrong when each of these pixels, in turn, labels its part."""
    area, salient = _counts(parts, mask)
    on_salient = np.bincount(parts[clicks & mask], minlength=len(area))
    on_background = np.bincount(parts[clicks & ~mask], minlength=len(area))
    wrong = on_salient * (area - salient) + on_background * salient
    return float(wrong.sum() / ((on_salient + on_background) * area).sum())


def clicked_wrong_share(ids: Ids, mask: Mask, xy: NDArray[np.int64]) -> float:
    """The share of the labelled area that is wrong after a few clicks together, by the package's labels."""
    truth = mask.astype(np.uint8)
    labels = region_labels(ids, xy, truth[xy[:, 1], xy[:, 0]], mask.shape, "propagate")
    return float((labels != truth)[labels != UNSURE].mean())


def _counts(ids: Ids, mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pixels of each superpixel, and the salient ones."""
    area = np.bincount(ids.ravel())
    return area, np.bincount(ids[mask], minlength=len(area))
