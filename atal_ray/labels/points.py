"""The one datum: a labelled point. Its Arrow schema, and the tables of questions and answers."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from atal_ray.errors import DataError

BACKGROUND, SALIENT, UNSURE = 0, 1, 255

_QUESTION = [
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("x", pa.int32(), nullable=False),  # column in the original image, 0-based
    pa.field("y", pa.int32(), nullable=False),  # row
]
_ORIGIN = [
    pa.field("round", pa.int16(), nullable=False),  # the round that trains on it first; 0: the random start
    pa.field("order", pa.int16(), nullable=False),  # which pick in its image and round
    pa.field("score", pa.float32(), nullable=False),  # uncertainty when it was asked; 0 for random points
    pa.field("superpixel", pa.int32(), nullable=False),  # its SEEDS region; -1 where regions are not used
]

_LABEL = pa.field("label", pa.uint8(), nullable=False)  # BACKGROUND, SALIENT or UNSURE
_SOURCE = pa.field("source", pa.string(), nullable=False)  # who answered
_REGION = pa.field("region", pa.string(), nullable=False)  # SR, PIR, PSR or random

QUERY_SCHEMA = pa.schema([*_QUESTION, *_ORIGIN, _REGION])
POINT_SCHEMA = pa.schema([*_QUESTION, _LABEL, *_ORIGIN, _SOURCE])


def concat(tables: Iterable[pa.Table], schema: pa.Schema = POINT_SCHEMA) -> pa.Table:
    """The rows of several tables in order; an empty table for none."""
    return pa.concat_tables([schema.empty_table(), *tables])


def check_points(
    points: pa.Table,
    heights: dict[str, int],
    widths: dict[str, int],
    name: str = "points",
    rows: Sequence[int] | None = None,
) -> None:
    """Refuse points outside their image, pixels labelled twice, or unknown labels, naming the first bad row.

    Args:
        points: rows of POINT_SCHEMA.
        heights: rows of each image by its id.
        widths: columns of each image by its id.
        name: what to call the table in the message.
        rows: what to call its rows in the message, where the table was sorted after it was read.

    Raises:
        DataError: with the name of the table, the row and what is wrong there.
    """
    if points.schema.names != POINT_SCHEMA.names:
        raise DataError(f"{name}: columns are {points.schema.names}, expected {POINT_SCHEMA.names}")
    columns = (points[column].to_pylist() for column in ("image_id", "x", "y", "label"))
    seen: set[tuple[str, int, int]] = set()
    for row, (image_id, x, y, label) in enumerate(zip(*columns, strict=True)):
        where = f"{name}, row {row if rows is None else rows[row]} (image {image_id}, x {x}, y {y})"
        if image_id not in heights:
            raise DataError(f"{where}: no such image in the manifest")
        if not (0 <= x < widths[image_id] and 0 <= y < heights[image_id]):
            raise DataError(f"{where}: outside the image of {widths[image_id]}x{heights[image_id]} pixels")
        if label not in (BACKGROUND, SALIENT, UNSURE):
            raise DataError(
                f"{where}: label is {label}, expected 0 (background), 1 (salient) or 255 (unsure)"
            )
        if (image_id, x, y) in seen:
            raise DataError(f"{where}: this pixel is labelled twice")
        seen.add((image_id, x, y))


class PointIndex:
    """The points of every image, found by image id: flat arrays, sorted once."""

    def __init__(self, points: pa.Table) -> None:
        keys = [("image_id", "ascending"), ("round", "ascending"), ("order", "ascending")]
        points = points.sort_by(keys)
        self._ids = points["image_id"].to_numpy()
        self._xy = np.stack([points["x"].to_numpy(), points["y"].to_numpy()], axis=1)
        self._labels = points["label"].to_numpy()

    def of(self, image_id: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Column and row [N, 2] and label [N] of the points of an image, in the order of asking."""
        first, last = (np.searchsorted(self._ids, image_id, side) for side in ("left", "right"))
        return self._xy[first:last], self._labels[first:last]
