"""Points from elsewhere, a table or another campaign, for a campaign that asks for none."""

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.annotation.answer_table import WORDS, read_table
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, CampaignFolder
from atal_ray.errors import CampaignError, DataError
from atal_ray.labels.points import POINT_SCHEMA, check_points, in_order, running_numbers
from atal_ray.store import uri as stores
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)

NEEDED = ("image_id", "x", "y", "label")


def import_points(campaign: CampaignFolder, source: str) -> None:
    """Check the points of another campaign's folder, or of a table, and write them as those of round 0.

    A table is Parquet, CSV or JSON, as `read_table` takes it. It needs the columns image_id, x, y and label;
    where a Parquet table lacks the others, its points count as imported. Points of images that are not in
    the manifest are left out; the log says how many.

    Args:
        campaign: the campaign that trains on them.
        source: a folder with committed rounds, or a table.

    Raises:
        DataError: it cannot be read, lacks a column, has a wrong point, or none of these images.
    """
    found = _read(source)
    numbers = found["row"] if "row" in found.schema.names else pa.array(np.arange(found.num_rows))
    points = _complete(found, source).append_column("row", numbers)
    points = in_order(points)
    campaign.round(0).write_tables(POINTS, _of_manifest(campaign, points, source), POINT_SCHEMA)


def check_source(source: str) -> None:
    """Raise DataError where points cannot be read from there, whatever the images."""
    _complete(_read(source), source)


def _read(source: str) -> pa.Table:
    """The points of a campaign's rounds or of a table, unchecked; of a CSV or JSON table with each row's
    number.
    """
    other = CampaignFolder(Folder(source))
    rounds = other.committed_rounds()
    if rounds:
        logger.info("%s: points of its %d committed rounds", source, rounds)
        return other.points(rounds - 1)
    folder, name = stores.split(source)
    try:
        if name.lower().endswith((".csv", ".json")):
            return read_table(Folder(folder), name)
        return Folder(folder).read_table(name)
    except CampaignError as error:
        raise DataError(
            f"data.points {source} is neither a campaign with a committed round nor a table of points: "
            f"{error}"
        ) from error


def _complete(table: pa.Table, source: str) -> pa.Table:
    """The columns of POINT_SCHEMA, in its types; the ones that say where a point came from may be absent."""
    absent = [name for name in NEEDED if name not in table.schema.names]
    if absent:
        raise DataError(f"{source} has no column {', '.join(absent)}: points need {', '.join(NEEDED)}")
    doubled = sorted({name for name in table.schema.names if table.schema.names.count(name) > 1})
    if doubled:
        raise DataError(f"{source} has the column {doubled[0]} more than once")
    origin = {"round": 0, "score": 0.0, "superpixel": -1, "source": "import"}
    columns = []
    for field in POINT_SCHEMA:
        if field.name in table.schema.names:
            column = table[field.name]
        elif field.name == "order":
            column = running_numbers(table["image_id"])
        else:
            column = pa.repeat(pa.scalar(origin[field.name]), table.num_rows)
        if column.null_count:
            first = pc.index(column.is_null(), True).as_py()
            row = table["row"][first].as_py() if "row" in table.schema.names else first
            raise DataError(f"{source}, row {row}: {field.name} is empty")
        try:
            if field.name == "label" and pa.types.is_string(column.type):
                words = (str(WORDS.get(word.strip().lower(), word)) for word in column.to_pylist())
                column = pa.array(words, pa.string())
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"{source}: column {field.name} cannot be read as {field.type}: {error}"
            ) from error
    return pa.table(columns, schema=POINT_SCHEMA)


def _of_manifest(campaign: CampaignFolder, points: pa.Table, source: str) -> Iterator[pa.Table]:
    """The points of the manifest's images, checked, in its order."""
    ids, images = points["image_id"].to_numpy(), campaign.root.count_rows(MANIFEST)
    used = labelled = 0
    for rows in campaign.chunks():
        names, heights, widths = (rows[name].to_pylist() for name in ("image_id", "height", "width"))
        first, last = np.searchsorted(ids, names[0], "left"), np.searchsorted(ids, names[-1], "right")
        near = points.slice(first, last - first)
        mine = near.filter(pc.is_in(near["image_id"], value_set=pa.array(names)))
        numbers, mine = mine["row"].to_pylist(), mine.select(POINT_SCHEMA.names)
        check_points(
            mine,
            dict(zip(names, heights, strict=True)),
            dict(zip(names, widths, strict=True)),
            source,
            numbers,
        )
        used, labelled = used + mine.num_rows, labelled + pc.count_distinct(mine["image_id"]).as_py()
        yield mine
    if not used:
        raise DataError(
            f"{source}: none of its {points.num_rows} points belongs to an image of this campaign"
        )
    if used < points.num_rows or labelled < images:
        logger.warning(
            f"{source}: {points.num_rows - used} of {points.num_rows} points belong to other images and are "
            f"left out; {images - labelled} of {images} images have no point"
        )
