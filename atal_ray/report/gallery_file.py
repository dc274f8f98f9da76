"""The file between the actors that attack a few images and the page that shows them: small PNG maps, one row
an image.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Self

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray import seeding
from atal_ray.data.record import Record, records
from atal_ray.errors import CampaignError
from atal_ray.metrics.saliency_map import png
from atal_ray.store.folder import Folder
from atal_ray.store.location import AnyLocation

GALLERY = "gallery.parquet"
IMAGES = 4
LEVELS = 255
"""Largest value of an 8-bit map."""
GALLERY_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("problem", pa.string(), nullable=False),  # why there are no maps; else empty
        pa.field("prediction", pa.binary()),  # PNG of 8 bits [S, S], as are the following
        pa.field("uncertainty", pa.binary()),
        pa.field("attacked", pa.binary()),
        pa.field("score", pa.binary()),
        pa.field("regions", pa.binary()),
    ]
)


@dataclass(frozen=True)
class ImageMaps:
    """What the snapshots of a round say of one image, each uint8 [S, S]."""

    prediction: NDArray[np.uint8]
    """Ensemble saliency of the clean image (Eq. 6), 255 for 1."""
    uncertainty: NDArray[np.uint8]
    """1 - BvSB of the clean image, 255 for 1."""
    attacked: NDArray[np.uint8] | None
    """1 - BvSB of the attacked image, 255 for 1; None where the method attacks none."""
    score: NDArray[np.uint8] | None
    """Score of the query, 255 for the largest that it can be; None where the method scores nothing."""
    regions: NDArray[np.uint8] | None
    """The value of `region_kind`; None where there was no attack."""

    def to_row(self, image_id: str) -> dict[str, Any]:
        """A row of GALLERY_SCHEMA."""
        pictures = {name: png(values) for name, values in vars(self).items() if values is not None}
        return {"image_id": image_id, "problem": "", **pictures}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The maps of a row without a problem."""
        return cls(*(_decoded(row[name]) for name in cls.__dataclass_fields__))


def _decoded(data: bytes | None) -> Any:
    """The values of a PNG; None for none."""
    if data is None:
        return None
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def problem_row(image_id: str, problem: str) -> dict[str, Any]:
    """The row of an image that has no maps."""
    return {"image_id": image_id, "problem": problem}


def gallery_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of images in the order of their ids."""
    return pa.Table.from_pylist(rows, GALLERY_SCHEMA).sort_by("image_id")


def shown_records(manifest: Iterable[pa.Table], folder: AnyLocation, count: int = IMAGES) -> list[Record]:
    """The images whose ids have the smallest hashes: the same ones for every campaign on the same data.

    Args:
        manifest: its rows, some at a time.
        folder: where its paths begin.
        count: how many.
    """

    def kept() -> Iterator[tuple[int, pa.Table]]:
        for rows in manifest:
            hashes = [seeding.derive("report", image_id) for image_id in rows["image_id"].to_pylist()]
            for row in heapq.nsmallest(count, range(len(hashes)), key=hashes.__getitem__):
                yield hashes[row], rows.slice(row, 1)

    smallest = heapq.nsmallest(count, kept(), key=itemgetter(0))
    return [record for _, row in smallest for record in records(row, folder)]


def read_maps(folder: Folder) -> dict[str, ImageMaps | str]:
    """The maps of each image in a round's gallery.parquet, or why it has none.

    Raises:
        CampaignError: the file cannot be read.
    """
    table = folder.read_table(GALLERY)
    if table.schema.names != GALLERY_SCHEMA.names:
        raise CampaignError(f"{folder.where(GALLERY)} was written by another version, and is left out")
    rows = table.to_pylist()
    return {row["image_id"]: row["problem"] or ImageMaps.from_row(row) for row in rows}
