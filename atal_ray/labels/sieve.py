"""Sieved propagation: of a clicked region, the pixels that look like the click keep its label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atal_ray.labels.points import UNSURE
from atal_ray.labels.regions import component

FLOOR = 1e-3
"""Added to a region's spread, over that of the whole image: a flat region is not divided by its noise."""


def sieved(
    known: npt.NDArray[np.uint8],
    superpixels: npt.NDArray[np.int32],
    xy: npt.NDArray[np.integer],
    labels: npt.NDArray[np.uint8],
    maps: Sequence[npt.NDArray[np.floating]],
    threshold: float,
) -> npt.NDArray[np.uint8]:
    """The known labels without the pixels of a clicked region that differ from its click.

    A pixel i of the region R of a click c stays where in every map f

        |f_i - f_c|^2 <= threshold (s + floor),  s = mean over R of |f_j - mean over R of f|^2

    so the threshold is in units of the spread inside the region; between two of its pixels drawn at random
    the left side is 2 s on average. The pixel of a click always stays.

    Args:
        known: uint8 [H, W] of `regions.region_labels`, 255 where nothing is known.
        superpixels: int32 [H, W].
        xy: column and row of the points [N, 2], in the order of asking.
        labels: their labels [N], 0, 1 or 255.
        maps: each [H, W, C], such as colours in Lab and decoder features.
        threshold: above 0.
    """
    found = known.copy()
    floors = [FLOOR * float(one.reshape(-1, one.shape[2]).var(0).sum()) for one in maps]
    for (x, y), label in zip(xy, labels, strict=True):
        if label == UNSURE:
            continue
        region = component(superpixels, int(x), int(y))
        stays = np.ones(int(region.sum()), bool)
        for values, floor in zip(maps, floors, strict=True):
            inside = values[region]
            far = ((inside - values[y, x]) ** 2).sum(1)
            stays &= far <= threshold * (inside.var(0).sum() + floor)
        found[region] = np.where(stays, found[region], UNSURE)
    found[xy[:, 1], xy[:, 0]] = labels
    return found
