"""Points from elsewhere, a table or another campaign, for a campaign that asks for none."""

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, CampaignFolder
from atal_ray.errors import CampaignError, DataError
from atal_ray.labels.points import POINT_SCHEMA, check_points
from atal_ray.store import uri as stores
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)

NEEDED = ("image_id", "x", "y", "label")


def import_points(campaign: CampaignFolder, source: str) -> None:
    """Check the points of another campaign's folder, or of a Parquet table, and write them as those of round
    0.

    A table needs the columns image_id, x, y and label; where it lacks the others, its points count as
    imported. Points of images that are not in the manifest are left out; the log says how many.

    Args:
        campaign: the campaign that trains on them.
        source: a folder with committed rounds, or a table.

    Raises:
        DataError: it cannot be read, lacks a column, has a wrong point, or none of these images.
    """
    points = _complete(_read(source), source)
    points = points.append_column("row", pa.array(np.arange(points.num_rows)))
    points = points.sort_by([(name, "ascending") for name in ("image_id", "round", "order")])
    campaign.round(0).write_tables(POINTS, _of_manifest(campaign, points, source), POINT_SCHEMA)


def _read(source: str) -> pa.Table:
    other = CampaignFolder(Folder(source))
    rounds = other.committed_rounds()
    if rounds:
        logger.info("%s: points of its %d committed rounds", source, rounds)
        return other.points(rounds - 1)
    folder, name = stores.split(source)
    try:
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
            column = _running_numbers(table["image_id"])
        else:
            column = pa.repeat(pa.scalar(origin[field.name]), table.num_rows)
        if column.null_count:
            raise DataError(
                f"{source}, row {pc.index(column.is_null(), True).as_py()}: {field.name} is empty"
            )
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"{source}: column {field.name} cannot be read as {field.type}: {error}"
            ) from error
    return pa.table(columns, schema=POINT_SCHEMA)


def _running_numbers(ids: pa.ChunkedArray) -> pa.Array:
    """0, 1, ... for the rows of each image, in their order."""
    _, image, counts = np.unique(ids.to_numpy().astype(str), return_inverse=True, return_counts=True)
    by_image = np.argsort(image, kind="stable")
    numbers = np.empty(len(image), np.int64)
    numbers[by_image] = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
    return pa.array(numbers)


def _of_manifest(campaign: CampaignFolder, points: pa.Table, source: str) -> Iterator[pa.Table]:
    """The points of the manifest's images, checked, in its order."""
    ids, images = points["image_id"].to_numpy(), campaign.root.count_rows(MANIFEST)
    used = labelled = 0
    for rows in campaign.images():
        first, last = (
            np.searchsorted(ids, rows[0].image_id, "left"),
            np.searchsorted(ids, rows[-1].image_id, "right"),
        )
        near = points.slice(first, last - first)
        mine = near.filter(pc.is_in(near["image_id"], value_set=pa.array([row.image_id for row in rows])))
        numbers, mine = mine["row"].to_pylist(), mine.select(POINT_SCHEMA.names)
        check_points(
            mine,
            {row.image_id: row.height for row in rows},
            {row.image_id: row.width for row in rows},
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
