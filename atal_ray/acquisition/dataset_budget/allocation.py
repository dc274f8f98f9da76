"""One budget for all images: RDS over the covers of every image, with a floor and a ceiling for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.cover.distances import OnProgress, ignore_progress
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures
from atal_ray.config import QueryConfig

Indices = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Covers:
    """The covers V of all images, one candidate a row.

    Rows of an image follow each other, in the order in which they should be asked for.
    """

    image: npt.NDArray[np.int32]
    """Number of the image [N], ascending."""
    score: npt.NDArray[np.float32]
    """Uncertainty [N]."""
    superpixel: npt.NDArray[np.int32]
    """Superpixel id within the image [N]; -1 where regions are not used."""
    features: Callable[[Indices], Matrix]
    """Maps n rows to their unit feature vectors [n, C]; those of all rows may not fit into memory at once."""

    def parts(self, rows: Indices, images: int) -> Iterator[Indices]:
        """Split `rows` by image into parts of about equally many images.

        Args:
            rows: rows of the covers, in any order.
            images: the most images of a part.

        Yields:
            Indices into `rows`, ascending.
        """
        count = int(self.image[-1]) + 1 if len(self.image) else 0
        parts = -(-count // images)
        part_of = self.image[rows].astype(np.int64) * parts // max(1, count)
        by_part = np.argsort(part_of, kind="stable")
        bounds = np.searchsorted(part_of[by_part], np.arange(parts + 1))
        return (by_part[first:last] for first, last in pairwise(bounds) if first < last)


@dataclass(frozen=True)
class Plan:
    """Which candidates are chosen anyhow, and in which parts the others compete for the rest of a budget."""

    first: Indices
    """The floors: rows of the covers."""
    others: Indices
    """All other rows, the most uncertain first."""
    floors: list[Indices]
    """Parts of the floors, each as indices into `first`."""
    shortlist: list[tuple[Indices, int]]
    """Parts of the shortlist, each as indices into `others`, and how many members its cover has."""

    @property
    def members(self) -> int:
        """Members of all covers together."""
        return sum(share for _, share in self.shortlist)


def plan(covers: Covers, budget: int, config: QueryConfig, tie: npt.NDArray[np.float32]) -> Plan:
    """Steps 1 and 2 of `allocate` but for what needs features."""
    floors = index_in_image(covers.image) < config.floor
    first, others = np.flatnonzero(floors), np.flatnonzero(~floors)
    others = others[np.lexsort((tie[others], -covers.score[others]))]
    rest = max(0, budget - len(first))
    shortlist = others[: max(rest, int(np.ceil(len(others) * config.shortlist_percent / 100)))]
    m, done, seen = min(config.cover_factor * rest, len(shortlist)), 0, 0
    shares: list[tuple[Indices, int]] = []
    for part in covers.parts(shortlist, config.cover_images):
        seen += len(part)
        share = m * seen // len(shortlist) - done
        if share:
            shares.append((part, share))
            done += share
    return Plan(first, others, list(covers.parts(first, config.cover_images)), shares)


def finish(
    covers: Covers, made: Plan, phi: npt.NDArray[np.float64], budget: int, config: QueryConfig
) -> Indices:
    """Steps 3 and 4 of `allocate`.

    Args:
        covers: the candidates.
        made: the plan of their allocation.
        phi: similarity of each of `made.others` to the labelled points; infinite where it is in no cover.
        budget: as in `allocate`.
        config: as in `allocate`.
    """
    ranked = made.others[np.argsort(phi, kind="stable")]  # equal ones stay in the order of uncertainty
    return take(covers, np.concatenate([made.first, ranked]), budget, config.ceiling, kept=len(made.first))


def allocate(
    covers: Covers,
    budget: int,
    config: QueryConfig,
    *,
    cover: Callable[[Matrix, int, OnProgress], Indices],
    labelled: LabelledFeatures,
    tie: npt.NDArray[np.float32],
    on_progress: OnProgress = ignore_progress,
) -> Indices:
    """Spend one budget on all images: `config.floor` points each, and the rest where it helps most.

    1. The first `config.floor` candidates of every image are chosen and count as labelled points.
    2. Of the other candidates the most uncertain `config.shortlist_percent` are covered in the space of their
       features (Eq. 9, Algorithm 1). More than `config.cover_images` images are covered in parts, each with
       its share of the cover.
    3. The cover is ranked by phi (Eq. 10), the least similar to the labelled points first; behind it come all
       others by uncertainty.
    4. They are chosen in this order until the budget is spent: at most `config.ceiling` points an image, and
       a second point in a superpixel only after all first ones.

    With floor = ceiling = k it chooses what RDS chooses for each image alone.

    Args:
        covers: the candidates.
        budget: points for all images together; fewer are chosen only where the ceilings or the candidates
            end.
        config: floor, ceiling, shortlist and the size of the cover.
        cover: takes positions [n, C], m and a callback; returns the m members in the order of choice, the
            first candidate being the first.
        labelled: the labelled points; the points of the floors are added.
        tie: seeded random numbers [N] that order equal scores.
        on_progress: called now and then with the share of the cover that is chosen.

    Returns:
        Rows of `covers`, image by image in the order of asking.
    """
    made = plan(covers, budget, config, tie)
    for part in made.floors:
        labelled.add(covers.features(made.first[part]))
    phi, done = np.full(len(made.others), np.inf), 0
    for part, share in made.shortlist:
        features = covers.features(made.others[part])
        chosen = cover(features, share, partial(_report_share, on_progress, done, made.members))
        phi[part[chosen]] = labelled.similarity(features[chosen])
        done += share
    return finish(covers, made, phi, budget, config)


def _report_share(on_progress: OnProgress, done: int, m: int, chosen: float) -> None:
    on_progress((done + chosen) / m)


def take(covers: Covers, order: Indices, budget: int, ceiling: int, kept: int) -> Indices:
    """The first rows of `order` until the budget is spent, at most `ceiling` an image.

    The first row of each superpixel comes before all second ones.

    Args:
        covers: the candidates.
        order: rows in the order of preference.
        budget: points together.
        ceiling: points of an image.
        kept: the first `kept` rows of `order` stay in front whatever their superpixels.

    Returns:
        Rows, image by image in the order of preference.
    """
    alone = covers.superpixel[order] < 0  # without a superpixel: a key of its own
    key = covers.image[order].astype(np.int64) << 32 | covers.superpixel[order]
    key[alone] = -1 - np.arange(np.count_nonzero(alone))
    _, first = np.unique(key, return_index=True)
    fresh = np.zeros(len(order), bool)
    fresh[first] = True
    fresh[:kept] = True
    order = np.concatenate([order[fresh], order[~fresh]])
    image = covers.image[order]
    by_image = np.argsort(image, kind="stable")
    allowed = np.empty(len(order), bool)
    allowed[by_image] = index_in_image(image[by_image]) < ceiling
    chosen = order[allowed][:budget]
    return chosen[np.argsort(covers.image[chosen], kind="stable")]


def index_in_image(image: npt.NDArray[np.int32]) -> Indices:
    """The number of each candidate within its image, from 0, for ascending image numbers [N]."""
    rows = np.arange(len(image), dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, image[1:] != image[:-1]]) if len(image) else rows
    return rows - np.repeat(starts, np.diff(np.r_[starts, len(image)]))
