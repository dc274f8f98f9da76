"""One budget for all images: RDS over the covers of every image, with a floor and a ceiling for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.dataset_budget.distances import Told, silent
from atal_ray.acquisition.dataset_budget.similarity import Labelled
from atal_ray.config import QueryConfig

Indices = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Covers:
    """The covers V of all images, one candidate a row: image by image, and in an image the first to ask for
    first.
    """

    image: npt.NDArray[np.int32]
    """Number of the image [N], ascending."""
    score: npt.NDArray[np.float32]
    """Uncertainty [N]."""
    superpixel: npt.NDArray[np.int32]
    """Superpixel id within the image [N]; -1 where regions are not used."""
    features: Callable[[Indices], Matrix]
    """Unit feature vectors [n, C] of n rows, which are asked for part by part: all at once may be more than a
    memory holds.
    """

    def parts(self, rows: Indices, images: int) -> Iterator[Indices]:
        """Places in `rows`, as they stand, in parts of about equally many images, at most `images` each."""
        count = int(self.image[-1]) + 1 if len(self.image) else 0
        parts = -(-count // images)
        part_of = self.image[rows].astype(np.int64) * parts // max(1, count)
        by_part = np.argsort(part_of, kind="stable")
        bounds = np.searchsorted(part_of[by_part], np.arange(parts + 1))
        return (by_part[first:last] for first, last in pairwise(bounds) if first < last)


def allocate(
    covers: Covers,
    budget: int,
    config: QueryConfig,
    *,
    cover: Callable[[Matrix, int, Told], Indices],
    labelled: Labelled,
    tie: npt.NDArray[np.float32],
    told: Told = silent,
) -> Indices:
    """Spend one budget on all images: `config.floor` points each as for a single image, the rest where it is
    needed.

    The most uncertain `config.shortlist_percent` of the candidates behind the floors compete for the rest:
    Algorithm 1 covers them in the space of features, and of that cover the least like the labelled points
    come first (Eq. 10), among which the floors now count; behind the cover come all others by uncertainty.
    More than `config.cover_images` images are covered in parts of images that follow each other, each with
    its share of the cover, and ranked together. An image gets no more than `config.ceiling`, and a superpixel
    a second point only where nothing else is left. With floor = ceiling = k it is the image-wise choice.

    Args:
        covers: the candidates.
        budget: points for all images together; fewer are chosen only where the ceilings or the candidates
            end.
        config: floor, ceiling, shortlist and the size of the cover.
        cover: positions [n, C], m -> the cover in the order of choice, from the first candidate on.
        labelled: the labelled points; the floors are added.
        tie: seeded random numbers [N] that order equal scores.
        told: called with the share of the cover that is chosen, again and again.

    Returns:
        Rows of `covers`, image by image in the order of asking.
    """
    floors = place(covers.image) < config.floor
    first, others = np.flatnonzero(floors), np.flatnonzero(~floors)
    others = others[np.lexsort((tie[others], -covers.score[others]))]
    rest = max(0, budget - len(first))
    shortlist = others[: max(rest, int(np.ceil(len(others) * config.shortlist_percent / 100)))]
    for part in covers.parts(first, config.cover_images):
        labelled.add(covers.features(first[part]))
    phi = np.full(len(others), np.inf)  # of what is behind the cover
    m, done, seen = min(config.cover_factor * rest, len(shortlist)), 0, 0
    for part in covers.parts(shortlist, config.cover_images):
        seen += len(part)
        share = m * seen // len(shortlist) - done
        if share:
            features = covers.features(shortlist[part])
            chosen = cover(features, share, partial(_tell, told, done, m))
            phi[part[chosen]] = labelled.similarity(features[chosen])
            done += share
    ranked = others[np.argsort(phi, kind="stable")]  # equal ones by uncertainty
    return take(covers, np.concatenate([first, ranked]), budget, config.ceiling, kept=len(first))


def _tell(told: Told, done: int, m: int, picks: float) -> None:
    told((done + picks) / m)


def take(covers: Covers, order: Indices, budget: int, ceiling: int, kept: int) -> Indices:
    """The first of `order` until the budget is spent, at most `ceiling` an image, fresh superpixels before
    used ones.

    Args:
        covers: the candidates.
        order: rows in the order of preference.
        budget: points together.
        ceiling: points of an image.
        kept: so many at the head of `order` come before all others whatever their superpixel.

    Returns:
        Rows, image by image in the order of preference.
    """
    alone = covers.superpixel[order] < 0  # no region: a key of its own
    key = covers.image[order].astype(np.int64) << 32 | covers.superpixel[order]
    key[alone] = -1 - np.arange(np.count_nonzero(alone))
    _, first = np.unique(key, return_index=True)
    fresh = np.zeros(len(order), bool)
    fresh[first] = True
    fresh[:kept] = True
    order = np.concatenate([order[fresh], order[~fresh]])
    image = covers.image[order]
    by_image = np.argsort(image, kind="stable")
    room = np.empty(len(order), bool)
    room[by_image] = place(image[by_image]) < ceiling
    chosen = order[room][:budget]
    return chosen[np.argsort(covers.image[chosen], kind="stable")]


def place(image: npt.NDArray[np.int32]) -> Indices:
    """The place of each candidate in its image, from 0, for ascending image numbers [N]."""
    rows = np.arange(len(image), dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, image[1:] != image[:-1]]) if len(image) else rows
    return rows - np.repeat(starts, np.diff(np.r_[starts, len(image)]))
