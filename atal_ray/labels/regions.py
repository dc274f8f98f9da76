"""Region label acquisition: from clicked points and superpixels to the pixels that they label."""

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.labels.points import UNSURE

Mode = Literal["propagate", "none", "oracle_mask", "dense"]


def component(superpixels: npt.NDArray[np.int32], x: int, y: int) -> npt.NDArray[np.bool_]:
    """The connected part (4 neighbours) of the superpixel at column x, row y, as a bool map [H, W].

    SEEDS may leave a superpixel in several parts; only the part that was looked at gets the label.
    """
    inside = superpixels == superpixels[y, x]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = (
        slice(rows[0], rows[-1] + 1),
        slice(columns[0], columns[-1] + 1),
    )  # a superpixel is small: look no further
    _, parts = cv2.connectedComponents(inside[box].astype(np.uint8), connectivity=4)
    inside[box] = parts == parts[y - rows[0], x - columns[0]]
    return np.asarray(inside)


def covered(
    superpixels: npt.NDArray[np.int32] | None, xy: npt.NDArray[np.integer], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """The pixels that points with coordinates xy [N, 2] have already bought, as a bool map of `shape`.

    A point covers its component, or its pixel alone where `superpixels` is None.
    """
    bought = np.zeros(shape, bool)
    for x, y in xy:
        if superpixels is None:
            bought[y, x] = True
        elif not bought[y, x]:
            bought |= component(superpixels, int(x), int(y))
    return bought


def region_labels(
    superpixels: npt.NDArray[np.int32] | None,
    xy: npt.NDArray[np.integer],
    labels: npt.NDArray[np.uint8],
    shape: tuple[int, int],
    mode: Mode,
    mask: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """The label of every pixel in the original image: 0, 1, or 255 where nothing is known.

    Args:
        superpixels: int32 [H, W]; unused in the modes none and dense.
        xy: column and row of the points [N, 2], in the order of asking: a later click wins where regions
            meet.
        labels: their labels [N], 0, 1 or 255.
        shape: (H, W).
        mode: `propagate` gives a component its click's label, `none` labels the pixels alone, `oracle_mask`
            copies the TRUE MASK into the component (more than the click told), `dense` takes the whole mask.
        mask: bool [H, W]; needed by oracle_mask and dense.
    """
    if mode == "dense":
        assert mask is not None
        return mask.astype(np.uint8)
    result = np.full(shape, UNSURE, np.uint8)
    if mode != "none":
        assert superpixels is not None
        for (x, y), label in zip(xy, labels, strict=True):
            if label != UNSURE:
                region = component(superpixels, int(x), int(y))
                result[region] = label if mask is None or mode == "propagate" else mask[region]
    result[xy[:, 1], xy[:, 0]] = labels
    return result
