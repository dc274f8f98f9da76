"""Propagation with care: a clicked region keeps its label where its pixels look like the click, or near edges
in a finer superpixel alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atal_ray.labels.points import UNSURE
from atal_ray.labels.regions import component

FLOOR = 1e-3
"""Added to a region's spread, over that of the whole image: a flat region is not divided by its noise."""
Labels = npt.NDArray[np.uint8]
Region = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PixelMap:
    """Values of an image's pixels, perhaps on a coarser grid.

    Args:
        values: [h, w, C].
        shape: (H, W) of the image.
    """

    values: npt.NDArray[np.floating]
    shape: tuple[int, int]

    def at(self, rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer]) -> npt.NDArray[np.floating]:
        """The values [N, C] of the cells in which pixels lie."""
        (height, width), (high, wide) = self.shape, self.values.shape[:2]
        found: npt.NDArray[np.floating] = self.values[rows * high // height, columns * wide // width]
        return found

    @property
    def spread(self) -> float:
        """How much the values vary over the image: the sum of their variances."""
        return float(self.values.var((0, 1)).sum())


def sieved(
    known: Labels,
    superpixels: npt.NDArray[np.int32],
    xy: npt.NDArray[np.integer],
    labels: Labels,
    maps: Sequence[PixelMap],
    threshold: float,
    *,
    by_mask: bool = False,
) -> Labels:
    """The known labels without the pixels of a clicked region that differ from its click.

    A pixel i of the region R of a click c stays where in every map f

        |f_i - f_c|^2 <= threshold (s + floor),  s = mean over R of |f_j - mean over R of f|^2

    so the threshold is in units of the spread inside the region; between two of its pixels drawn at random
    the left side is 2 s on average. Where a region was clicked more than once, a pixel needs to look like one
    of the clicks. The pixel of a click always stays.

    Args:
        known: uint8 [H, W] of `regions.region_labels`, 255 where nothing is known.
        superpixels: int32 [H, W].
        xy: column and row of the points [N, 2], in the order of asking.
        labels: their labels [N], 0, 1 or 255.
        maps: such as colours in Lab and decoder features.
        threshold: above 0.
        by_mask: whether the known labels are those of a mask, and not of the clicks.
    """
    floors = [FLOOR * one.spread for one in maps]

    def kept(region: Region, x: int, y: int) -> Region:
        rows, columns = np.nonzero(region)
        stays = np.ones(len(rows), bool)
        for values, floor in zip(maps, floors, strict=True):
            inside, (click,) = values.at(rows, columns), values.at(np.array([y]), np.array([x]))
            far = ((inside - click) ** 2).sum(1)
            stays &= far <= threshold * (inside.var(0).sum() + floor)
        found = np.zeros_like(region)
        found[rows[stays], columns[stays]] = True
        return found

    chosen = [
        (region, kept(region, x, y), label) for region, x, y, label in _clicked(superpixels, xy, labels)
    ]
    return _only(chosen, known, xy, labels, by_mask)


def finer_at_edges(
    known: Labels,
    superpixels: npt.NDArray[np.int32],
    finer: npt.NDArray[np.int32],
    xy: npt.NDArray[np.integer],
    labels: Labels,
    colours: npt.NDArray[np.floating],
    *,
    by_mask: bool = False,
) -> Labels:
    """The known labels where superpixels across an edge label the finer superpixels of their clicks alone.

    A superpixel lies across an edge where its colours vary more than in half of the image's superpixels:

        mean over it of |f_j - its mean of f|^2 > the median of this over all superpixels

    Args:
        known: uint8 [H, W] of `regions.region_labels`, 255 where nothing is known.
        superpixels: int32 [H, W], those of the labels.
        finer: int32 [H, W], smaller ones.
        xy: column and row of the points [N, 2], in the order of asking.
        labels: their labels [N], 0, 1 or 255.
        colours: f, [H, W, C].
        by_mask: whether the known labels are those of a mask, and not of the clicks.
    """
    spread = _spreads(superpixels, colours)
    typical = np.median(spread[np.unique(superpixels)])
    chosen = [
        (region, region & component(finer, x, y), label)
        for region, x, y, label in _clicked(superpixels, xy, labels)
        if spread[superpixels[y, x]] > typical
    ]
    return _only(chosen, known, xy, labels, by_mask)


def _clicked(
    superpixels: npt.NDArray[np.int32], xy: npt.NDArray[np.integer], labels: Labels
) -> Iterator[tuple[Region, int, int, int]]:
    """Region, column, row and label of each click that somebody was sure of, in the order of asking."""
    for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
        if label != UNSURE:
            yield component(superpixels, x, y), x, y, label


def _only(
    chosen: Sequence[tuple[Region, Region, int]],
    known: Labels,
    xy: npt.NDArray[np.integer],
    labels: Labels,
    by_mask: bool,
) -> Labels:
    """The known labels with those of some regions in parts of them alone; a later click wins."""
    found = known.copy()
    for region, _, _ in chosen:
        found[region] = UNSURE
    for _, part, label in chosen:
        found[part] = known[part] if by_mask else label
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
