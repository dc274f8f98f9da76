"""The training target of one image, drawn from its points and regions at the size of the batch."""

import numpy as np
import numpy.typing as npt

from atal_ray.labels.geometry import Geometry


def draw_target(
    regions: npt.NDArray[np.uint8],
    xy: npt.NDArray[np.integer],
    labels: npt.NDArray[np.uint8],
    geometry: Geometry,
) -> npt.NDArray[np.uint8]:
    """The label map uint8 [size, size]: 0, 1, or 255 where nothing is known.

    A target pixel takes the region label of the original pixel in which its centre falls. Then every click
    inside the crop is drawn at its own transformed coordinates: a resized map of single pixels would lose
    some. Of two clicks on one target pixel the later counts.

    Args:
        regions: label of every original pixel [H, W], from `regions.region_labels`.
        xy: column and row of the points [N, 2], in the order of asking.
        labels: labels of the points [N].
        geometry: crop, flip and size.
    """
    rows, columns = geometry.source()
    target = regions.take(rows, 0).take(columns, 1)
    placed, inside = geometry.to_target(xy)
    target[placed[inside, 1], placed[inside, 0]] = labels[inside]
    return target
