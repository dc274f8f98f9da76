"""What a study measures besides maxF: how much snapshots differ, and how the points of an image lie."""

from collections.abc import Callable, Iterable, Iterator
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import TRAINING, CampaignFolder
from atal_ray.labels.points import concat
from atal_ray.report.point_counts import PointCounts, density

NEAR = 5.0
"""Pixels within which two points of an image ask nearly the same."""
GRID = 24
"""Cells of each side of the density of points."""
COVERED = 32
"""Places of each side of an image from which the nearest point is looked for."""


class RoundMeasure(NamedTuple):
    """What a study measures of a round.

    Args:
        label: for tables.
        of: of a campaign and the number of a round.
        higher_is_better: which way is good.
    """

    label: str
    of: Callable[[CampaignFolder, int], float]
    higher_is_better: bool = True


def mean_delta(campaign: CampaignFolder, number: int) -> float:
    """Mean change delta (Eq. 7) from a snapshot to the next, over those of a round; 0 for a single one."""
    epochs = campaign.round(number).read_json(TRAINING)["epochs"]
    found = [entry["delta"] for entry in epochs if "delta" in entry]
    return fmean(found) if found else 0.0


def share_alone(campaign: CampaignFolder, number: int) -> float:
    """Share of the points up to a round that have no other of their image within `NEAR` pixels."""
    points = campaign.points(number)
    alone = [alone_of(xy) for xy in by_image(points)]
    return float(np.concatenate(alone).mean()) if alone else 1.0


def cover_radius(campaign: CampaignFolder, number: int) -> float:
    """Largest distance of a place of an image to its nearest point up to a round, over the diagonal; the mean
    over the images.
    """
    return fmean(_radius(shape, xy) for shape, xy in _images(campaign, number))


def density_of(rounds: Iterable[tuple[CampaignFolder, int]]) -> NDArray[np.float64]:
    """Where in their images the points up to a round lie, of several campaigns together: over those of an
    even spread [GRID, GRID], rows first.
    """
    counted = []
    for campaign, number in rounds:
        mine = PointCounts.of(GRID)
        for images, added in campaign.images_with_points(range(number + 1)):
            mine.add(images, concat(added))
        counted.append(mine.cells)
    return density(counted)


def _images(campaign: CampaignFolder, number: int) -> Iterator[tuple[tuple[int, int], NDArray[np.int64]]]:
    """Height and width of each image with points, and the columns and rows of these [N, 2]."""
    for rows, tables in campaign.images_with_points(range(number + 1)):
        sizes = dict(zip(rows["image_id"].to_pylist(), _shapes(rows), strict=True))
        points = concat(tables).sort_by("image_id")
        ids = points["image_id"].unique().to_pylist()
        yield from zip((sizes[one] for one in ids), by_image(points), strict=True)


def _shapes(rows: pa.Table) -> Iterator[tuple[int, int]]:
    return zip(rows["height"].to_pylist(), rows["width"].to_pylist(), strict=True)


def _radius(shape: tuple[int, int], xy: NDArray[np.int64]) -> float:
    height, width = shape
    places = (np.arange(COVERED) + 0.5) / COVERED
    grid = np.stack(np.meshgrid(places * width, places * height), -1).reshape(-1, 1, 2)
    nearest = np.linalg.norm(grid - (xy + 0.5), axis=2).min(1)
    return float(nearest.max() / np.hypot(height, width))


def alone_of(xy: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which points [N, 2] have no other within `NEAR` pixels [N]."""
    apart = np.linalg.norm(xy[:, None].astype(float) - xy[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(1, initial=np.inf) > NEAR)


def by_image(points: pa.Table) -> list[NDArray[np.int64]]:
    """Column and row of the points of each image, one array [N, 2] an image."""
    ids = points["image_id"].to_numpy().astype(str)
    xy = np.stack([points["x"].to_numpy(), points["y"].to_numpy()], 1).astype(np.int64)
    order = np.argsort(ids, kind="stable")
    starts = np.flatnonzero(np.r_[True, ids[order][1:] != ids[order][:-1]][: len(ids)])
    return np.split(xy[order], starts[1:]) if len(ids) else []


MEASURES = {
    "diverse": RoundMeasure("change from snapshot to snapshot", mean_delta),
    "spread": RoundMeasure(f"points without another within {NEAR:g} px", share_alone),
    "cover": RoundMeasure("cover radius", cover_radius, higher_is_better=False),
}
"""What claims that are not about maxF look at."""
