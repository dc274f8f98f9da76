"""The one datum: a labelled point. Its Arrow schema, and the tables of questions and answers."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from atal_ray.errors import DataError
from atal_ray.store.mapped import write_mapped

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
RANDOM, UNATTACKED = "random", "unattacked"
"""Regions of points for which no network ran, and of those whose image was not attacked."""
_REGION = pa.field("region", pa.string(), nullable=False)  # SR, PIR, PSR, or one of these two

QUERY_SCHEMA = pa.schema([*_QUESTION, *_ORIGIN, _REGION])
POINT_SCHEMA = pa.schema([*_QUESTION, _LABEL, *_ORIGIN, _SOURCE])
_INDEX_SCHEMA = pa.schema(
    [pa.field("image_id", pa.large_string(), nullable=False), *_QUESTION[1:], _LABEL]
)  # 64-bit offsets: the ids of all points may be more than 2 GiB of text


def concat(tables: Iterable[pa.Table], schema: pa.Schema = POINT_SCHEMA) -> pa.Table:
    """The rows of several tables in order; an empty table for none."""
    return pa.concat_tables([schema.empty_table(), *tables])


def in_order(table: pa.Table) -> pa.Table:
    """Points or questions by image, those of an image in the order of asking."""
    return table.sort_by([(name, "ascending") for name in ("image_id", "round", "order")])


def running_numbers(ids: pa.ChunkedArray) -> pa.Array:
    """0, 1, ... for the rows of each image, in their order."""
    _, image, counts = np.unique(ids.to_numpy().astype(str), return_inverse=True, return_counts=True)
    by_image = np.argsort(image, kind="stable")
    numbers = np.empty(len(image), np.int64)
    numbers[by_image] = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    return pa.array(numbers)


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
    """The points of every image, found by image id.

    They lie in sorted columns: in memory, or with `on_disk` in a file that is mapped into it.
    """

    def __init__(self, points: pa.Table) -> None:
        self._hold(_sorted(points).combine_chunks().to_batches())

    @classmethod
    def on_disk(cls, parts: Iterable[pa.Table], path: Path) -> "PointIndex":
        """An index whose memory does not grow with the points.

        Args:
            parts: points of some images at a time, the ids ascending from part to part; all points of an
                image are in one part.
            path: the file, which must stay as long as the index is used.
        """
        index = cls.__new__(cls)
        index._hold(write_mapped(path, map(_sorted, parts), _INDEX_SCHEMA))
        return index

    def _hold(self, batches: list[pa.RecordBatch]) -> None:
        self._batches = batches
        self._first_ids = [batch["image_id"][0].as_py() for batch in batches]

    def of(self, image_id: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Column and row [N, 2] and label [N] of the points of an image, in the order of asking."""
        number = bisect_right(self._first_ids, image_id) - 1
        if number < 0:
            return np.empty((0, 2), np.int32), np.empty(0, np.uint8)
        batch = self._batches[number]
        ids, rows = batch["image_id"], range(batch.num_rows)
        first = bisect_left(rows, image_id, key=lambda row: ids[row].as_py())
        last = bisect_right(rows, image_id, lo=first, key=lambda row: ids[row].as_py())
        x, y, labels = (batch[name][first:last].to_numpy() for name in ("x", "y", "label"))
        return np.stack([x, y], axis=1), labels.copy()  # what is mapped cannot be written to


def _sorted(points: pa.Table) -> pa.Table:
    """The columns of an index, the points of an image in the order of asking."""
    return in_order(points).select(_INDEX_SCHEMA.names).cast(_INDEX_SCHEMA)
