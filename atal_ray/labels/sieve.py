"""Propagation with care: a clicked region keeps its label where its pixels look like the click, or near edges
in a finer superpixel alone.
"""

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


def finer_at_edges(
    known: npt.NDArray[np.uint8],
    superpixels: npt.NDArray[np.int32],
    finer: npt.NDArray[np.int32],
    xy: npt.NDArray[np.integer],
    labels: npt.NDArray[np.uint8],
    colours: npt.NDArray[np.floating],
) -> npt.NDArray[np.uint8]:
    """The known labels where a superpixel that lies across an edge labels its click's finer superpixel alone.

    A superpixel lies across an edge where its colours vary more than in half of the image's superpixels:

        mean over it of |f_j - its mean of f|^2 > the median of this over all superpixels

    Args:
        known: uint8 [H, W] of `regions.region_labels`, 255 where nothing is known.
        superpixels: int32 [H, W], those of the labels.
        finer: int32 [H, W], smaller ones.
        xy: column and row of the points [N, 2], in the order of asking.
        labels: their labels [N], 0, 1 or 255.
        colours: f, [H, W, C].
    """
    found, spread = known.copy(), _spreads(superpixels, colours)
    typical = np.median(spread[np.unique(superpixels)])
    for (x, y), label in zip(xy, labels, strict=True):
        if label == UNSURE or spread[superpixels[y, x]] <= typical:
            continue
        region = component(superpixels, int(x), int(y))
        found[region & ~component(finer, int(x), int(y))] = UNSURE
    found[xy[:, 1], xy[:, 0]] = labels
    return found


def _spreads(
    superpixels: npt.NDArray[np.int32], colours: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """How much colours vary inside each superpixel, by its id."""
    ids = superpixels.ravel()
    count = np.maximum(np.bincount(ids), 1)
    flat = colours.reshape(len(ids), -1).astype(np.float64)
    squares = np.bincount(ids, (flat**2).sum(1)) / count
    means = np.stack([np.bincount(ids, channel) / count for channel in flat.T])
    return np.asarray(squares - (means**2).sum(0))
