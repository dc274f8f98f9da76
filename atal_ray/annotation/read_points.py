"""`atal import points`: what people labelled in another tool, as a table that a campaign takes."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from atal_ray.annotation.answer_table import ANSWERED_SCHEMA, NAMES
from atal_ray.annotation.formats import ALL
from atal_ray.annotation.formats.point_format import ReadPoint, readable
from atal_ray.config.section import require
from atal_ray.errors import DataError, meant
from atal_ray.store.folder import Folder
from atal_ray.store.uri import split

ROWS = 65_536


def read_points(name: str, source: Path | str, table: str) -> tuple[int, int]:
    """Write the points that a tool left as a Parquet table with image_id, x, y and label.

    A pixel that was labelled twice alike counts once.

    Args:
        name: the tool's format.
        source: its file or folder.
        table: a path or URI that ends in .parquet.

    Returns:
        How many points it has, and how many questions are still open.

    Raises:
        ConfigError: no such format, or not one that is read.
        DataError: the source is damaged, or labels one pixel in two ways; the places are named.
    """
    require(
        name in readable(),
        f"{name!r} is no format that is read: use {', '.join(readable())}{meant(name, readable())}",
    )
    require(table.lower().endswith(".parquet"), f"{table} is no name of a table: let it end in .parquet")
    if not Path(source).exists():
        raise DataError(f"{source} does not exist")
    folder, file = split(table)
    kind, still_open = ALL[name], [0]
    answered = _answered(kind.read(Path(source)), still_open)
    Folder.at(folder).write_tables(
        file, _tables(_once(answered) if kind.repeats else answered), ANSWERED_SCHEMA
    )
    return Folder.at(folder).count_rows(file), still_open[0]


def _answered(points: Iterator[ReadPoint], still_open: list[int]) -> Iterator[ReadPoint]:
    """The points that somebody has labelled; the others are counted."""
    for point in points:
        if point.label is None:
            still_open[0] += 1
        else:
            yield point


def _once(points: Iterator[ReadPoint]) -> Iterator[ReadPoint]:
    """Each pixel once."""
    known: dict[tuple[str, int, int], ReadPoint] = {}
    for point in points:
        pixel = point.image_id, point.x, point.y
        before = known.setdefault(pixel, point)
        if before is point:
            yield point
        elif before.label != point.label:
            assert point.label is not None and before.label is not None  # noqa: PT018
            raise DataError(
                f"{point.place}: image {point.image_id}, ({point.x}, {point.y}) is {NAMES[point.label]}, but "
                f"{NAMES[before.label]} at {before.place}: leave one of them"
            )


def _tables(points: Iterator[ReadPoint]) -> Iterator[pa.Table]:
    rows: list[dict[str, object]] = []
    for point in points:
        rows.append({name: getattr(point, name) for name in ANSWERED_SCHEMA.names})
        if len(rows) == ROWS:
            yield pa.Table.from_pylist(rows, ANSWERED_SCHEMA)
            rows = []
    yield pa.Table.from_pylist(rows, ANSWERED_SCHEMA)
