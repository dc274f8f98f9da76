"""Region label acquisition: from clicked points and superpixels to the pixels that they label."""

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.config.query import RegionLabels
from atal_ray.labels.points import UNSURE


def component(superpixels: npt.NDArray[np.int32], x: int, y: int) -> npt.NDArray[np.bool_]:
    """The connected part (4 neighbours) of the superpixel at column x, row y, as a bool map [H, W].

    SEEDS may leave a superpixel in several parts; only the part that was clicked gets the label.

    Args:
        superpixels: int32 [H, W].
        x: column of the click.
        y: row of the click.
    """
    inside = superpixels == superpixels[y, x]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    # A superpixel is small: connected parts are searched in its bounding box alone.
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    _, parts = cv2.connectedComponents(inside[box].astype(np.uint8), connectivity=4)
    inside[box] = parts == parts[y - rows[0], x - columns[0]]
    return np.asarray(inside)


def covered(
    superpixels: npt.NDArray[np.int32] | None, xy: npt.NDArray[np.integer], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """The pixels that points have labelled, and that need not be asked for again, as a bool map [H, W].

    A point covers its component, or its pixel alone where `superpixels` is None.

    Args:
        superpixels: int32 [H, W], or None.
        xy: column and row of the points [N, 2].
        shape: (H, W).
    """
    found = np.zeros(shape, bool)
    for x, y in xy:
        if superpixels is None:
            found[y, x] = True
        elif not found[y, x]:
            found |= component(superpixels, int(x), int(y))
    return found


def region_labels(
    superpixels: npt.NDArray[np.int32] | None,
    xy: npt.NDArray[np.integer],
    labels: npt.NDArray[np.uint8],
    shape: tuple[int, int],
    mode: RegionLabels,
    mask: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """The label of every pixel in the original image, uint8 [H, W]: 0, 1, or 255 where nothing is known.

    The pixel of a click always has the click's own label. An unsure click (255) labels no region.

    Args:
        superpixels: int32 [H, W]; unused in the modes none and dense.
        xy: column and row of the points [N, 2], in the order of asking: a later click wins where regions
            meet.
        labels: their labels [N], 0, 1 or 255.
        shape: (H, W).
        mode: `propagate` gives a component its click's label, `none` labels the pixels alone, `oracle_mask`
            copies the TRUE MASK into the component (which says more than the click), `dense` takes the whole
            mask.
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
