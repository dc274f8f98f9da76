"""What the report says of points, counted some images at a time: neither points nor images are kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import POINTS, CampaignFolder

_MOST_BINS, _POINTS_A_BIN = 24, 3

Counts = NDArray[np.int64]


@dataclass
class PointCounts:
    """The points that one round added, or none."""

    cells: Counts
    """How many lie in each cell of a square histogram over the image, [row, column]."""
    labels: Counter[int] = field(default_factory=Counter)
    """How many have each label."""
    images_with: Counts = field(default_factory=lambda: np.zeros(1, np.int64))
    """How many images have 0, 1, 2, ... of the points."""

    @classmethod
    def of(cls, bins: int) -> Self:
        """None yet, to be counted in so many rows and columns of cells."""
        return cls(np.zeros((bins, bins), np.int64))

    @property
    def total(self) -> int:
        """How many there are."""
        return self.labels.total()

    @property
    def span(self) -> tuple[int, int]:
        """The fewest and the most that an image has."""
        there = np.flatnonzero(self.images_with)
        return (int(there[0]), int(there[-1])) if len(there) else (0, 0)

    def add(self, images: pa.Table, points: pa.Table) -> Counts:
        """Count the points of some images; returns how many each of these images has.

        Args:
            images: rows of the manifest.
            points: all points of these images, rows of POINT_SCHEMA.
        """
        image = pc.index_in(points["image_id"], images["image_id"].combine_chunks())
        of_image = np.bincount(np.asarray(image, np.int64), minlength=images.num_rows)
        self.images_with = _sum(self.images_with, np.bincount(of_image))
        self.labels.update(
            {found["values"]: found["counts"] for found in pc.value_counts(points["label"]).to_pylist()}
        )
        xy = relative_positions(points, *(images[side].take(image) for side in ("width", "height")))
        edges = np.linspace(0, 1, len(self.cells) + 1)
        self.cells += np.histogram2d(xy[:, 1], xy[:, 0], bins=(edges, edges))[0].astype(np.int64)
        return of_image


def count_points(campaign: CampaignFolder, rounds: int) -> tuple[list[PointCounts], Counts]:
    """What each of the first rounds added, and how many images have 0, 1, 2, ... points in all.

    The cells of round 0 are those of its number of points; those of the others, which are drawn together, are
    of all they added.
    """
    there = [number for number in range(rounds) if campaign.round(number).exists(POINTS)]
    rows = {number: campaign.round(number).count_rows(POINTS) for number in there}
    asked = sum(rows.values()) - rows.get(0, 0)
    counts = [PointCounts.of(bins_for(asked if number else rows.get(number, 0))) for number in range(rounds)]
    together = np.zeros(1, np.int64)
    for images, points in campaign.images_with_points(there):
        of_image = np.zeros(images.num_rows, np.int64)
        for number, added in zip(there, points, strict=True):
            of_image += counts[number].add(images, added)
        together = _sum(together, np.bincount(of_image))
    return counts, together


def bins_for(points: int) -> int:
    """Rows and columns of the cells that so many points are counted in."""
    return int(np.clip(np.sqrt(points / _POINTS_A_BIN), 2, _MOST_BINS))


def relative_positions(
    points: pa.Table, widths: pa.ChunkedArray, heights: pa.ChunkedArray
) -> NDArray[np.float64]:
    """The points as x / width and y / height of their images, [N, 2] in (0, 1)."""
    sides = {"x": widths, "y": heights}
    return np.stack(
        [(points[axis].to_numpy() + 0.5) / side.to_numpy() for axis, side in sides.items()], axis=1
    )


def density(cells: Sequence[Counts]) -> NDArray[np.float64]:
    """Points in each cell over those of an even spread, [row, column], for counts that are added up."""
    total = np.sum(cells, axis=0)
    return np.asarray(total * total.size / max(int(total.sum()), 1))


def _sum(first: Counts, second: Counts) -> Counts:
    """Two arrays of counts, the shorter one with zeros at its end."""
    found = np.zeros(max(len(first), len(second)), np.int64)
    found[: len(first)] += first
    found[: len(second)] += second
    return found
