"""One budget for all images: RDS over the covers of every image, with a floor and a ceiling for each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atal_ray.config import QueryConfig

Indices = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Covers:
    """The covers V of all images, one candidate a row: image by image, and in an image the first to ask for first."""

    image: npt.NDArray[np.int32]
    """Number of the image [N], ascending."""
    score: npt.NDArray[np.float32]
    """Uncertainty [N]."""
    superpixel: npt.NDArray[np.int32]
    """Superpixel id within the image [N]; -1 where regions are not used."""
    features: Matrix
    """Unit feature vectors [N, C]."""


def allocate(
    covers: Covers,
    budget: int,
    config: QueryConfig,
    *,
    cover: Callable[[Matrix, int], Indices],
    dissimilar: Callable[[Matrix, Matrix], Indices],
    tie: npt.NDArray[np.float32],
) -> Indices:
    """Spend one budget on all images: `config.floor` points each as for a single image, the rest where it is needed.

    The most uncertain `config.shortlist_percent` of the candidates behind the floors compete for the rest: Algorithm 1 covers them
    in the space of features, and of that cover the least like the labelled points come first (Eq. 10), among which the floors now
    count; behind the cover come all others by uncertainty. An image gets no more than `config.ceiling`, and a superpixel a second
    point only where nothing else is left. With floor = ceiling = k it is the image-wise choice.

    Args:
        covers: the candidates.
        budget: points for all images together; fewer are chosen only where the ceilings or the candidates end.
        config: floor, ceiling, shortlist and the size of the cover.
        cover: positions [n, C], m -> the cover in the order of choice, from the first candidate on.
        dissimilar: candidates [n, C] and the points added by the floors [f, C], unit vectors -> rows of the former, the least
            like the labelled points first, equal ones as they stand.
        tie: seeded random numbers [N] that order equal scores.

    Returns:
        Rows of `covers`, image by image in the order of asking.
    """
    floors = place(covers.image) < config.floor
    first, others = np.flatnonzero(floors), np.flatnonzero(~floors)
    others = others[np.lexsort((tie[others], -covers.score[others]))]
    rest = max(0, budget - len(first))
    shortlist = others[: max(rest, int(np.ceil(len(others) * config.shortlist_percent / 100)))]
    in_cover = np.zeros(len(others), bool)
    in_cover[cover(covers.features[shortlist], config.cover_factor * rest)] = True
    chosen = others[in_cover]  # by uncertainty, which the stable order keeps for equal phi
    ranked = chosen[dissimilar(covers.features[chosen], covers.features[first])]
    return take(covers, np.concatenate([first, ranked, others[~in_cover]]), budget, config.ceiling, kept=len(first))


def take(covers: Covers, order: Indices, budget: int, ceiling: int, kept: int) -> Indices:
    """The first of `order` until the budget is spent, at most `ceiling` an image, fresh superpixels before used ones.

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
