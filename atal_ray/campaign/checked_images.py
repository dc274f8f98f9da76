"""The manifest of a dataset folder, made in shards: one process lists the files, many read them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import pyarrow as pa

from atal_ray.config import Config
from atal_ray.data.layout import BadFile
from atal_ray.data.manifest import (
    LISTING_SCHEMA,
    in_threads,
    left_out,
    list_images,
    noting,
    read_pair,
    require_usable,
)
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.errors import DataError
from atal_ray.labels.points import concat
from atal_ray.runtime.bad_images import BadImages, require_kept
from atal_ray.runtime.capacity import Place
from atal_ray.runtime.many_actors import call_on_actor
from atal_ray.runtime.shard_files import ShardFiles, part_name
from atal_ray.runtime.shards import FILES_SHARD, Pool, run_shards, shard_rows
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location

Row = dict[str, Any]

LISTED, UNUSABLE = "listed.parquet", "unusable.parquet"
"""The images before they are read, written last; the ones that their names alone rule out."""
BAD_SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("image_id", "file", "reason", "kind")]
)
NAMED = 10  # bad files that an error may name


def is_large(folder: Location) -> bool:
    """Whether a folder holds more files than this process should read: more than a shard of them."""
    try:
        return sum(1 for _, _ in zip(range(FILES_SHARD + 1), _files(folder), strict=False)) > FILES_SHARD
    except DataError:  # what makes the list of files says it better
        return False


def _files(folder: Location, deepest: int = 4) -> Iterator[Location]:
    """The files of a folder and of those in it, as deep as any layout goes."""
    inner = []
    for name, is_folder in folder.entries():
        if is_folder:
            inner.append(folder / name)
        else:
            yield folder / name
    for other in inner if deepest else ():
        yield from _files(other, deepest - 1)


@dataclass(frozen=True)
class CheckedImages:
    """The images of a dataset folder, read in full; what is known of them lies in files of shards."""

    parts: ShardFiles
    shards: range
    bad: pa.Table
    """The files that are left out, rows of BAD_SCHEMA sorted by image id."""

    def rows(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of the manifest, or some of their columns, a shard at a time."""
        names = (part_name(shard, "rows") for shard in self.shards)
        return (self.parts.folder.read_table(name, columns) for name in names)

    @cached_property
    def usable(self) -> int:
        """How many images the manifest has."""
        return sum(self.parts.folder.count_rows(part_name(shard, "rows")) for shard in self.shards)

    @cached_property
    def without_mask(self) -> tuple[int, str]:
        """How many images have no mask, and the id of the first one."""
        tables = (table.filter(table["mask"].is_null()) for table in self.rows(["image_id", "mask"]))
        found = [(table.num_rows, table["image_id"][0].as_py()) for table in tables if table.num_rows]
        return sum(count for count, _ in found), found[0][1] if found else ""

    def write(self, out: Folder, name: str) -> None:
        """Write the manifest."""
        with self.parts.folder.parquet(LISTED) as listed:
            schema = noting(MANIFEST_SCHEMA, left_out(listed.schema_arrow))
        out.write_tables(name, self.rows(), schema)


def check_images(
    folder: Location,
    work: Folder,
    config: Config,
    *,
    subset: str | None = None,
    limit: int | None = None,
    skip: str = "",
) -> CheckedImages:
    """Read the images of a dataset folder; the rows are those of `build_manifest`.

    What shards leave is kept, so a restart repeats unfinished shards alone.

    Args:
        folder: the dataset.
        work: a folder for the files of its shards alone.
        config: `data.on_bad_file`, and the resources.
        subset: as for `build_manifest`, as are the others.
        limit: see there.
        skip: see there.

    Raises:
        DataError: see `build_manifest`.
    """
    where, on_bad_file = config.resources, config.data.on_bad_file
    call_on_actor(
        partial(list_files, folder, work, subset=subset, limit=limit),
        place=Place(1, 0, where.loading_nodes),
        backend=where.backend if is_large(folder) else "inline",
        title="listing images",
    )
    images = work.count_rows(LISTED)
    rows, parts = shard_rows(images, FILES_SHARD), ShardFiles(work, "bad")
    pool = Pool.of_files(config, images)
    threads = 1 if pool.backend == "ray" else None
    for row in run_shards(
        parts.pending(rows),
        pool,
        load=None,
        actor=CheckShard,
        arguments={"root": folder.resolved(), "work": work, "threads": threads},
        title="checking images",
        total=images,
        bad=BadImages.of_table(work, LISTED, on_bad_file),
    ):
        del row  # what it found is in files already
    bad = concat([work.read_table(UNUSABLE), *parts.tables("bad", range(len(rows)))], BAD_SCHEMA)
    bad = bad.sort_by([("image_id", "ascending"), ("file", "ascending")])
    found = CheckedImages(parts, range(len(rows)), bad)
    first = [BadFile(**row) for row in bad.slice(0, NAMED).to_pylist()]
    require_usable(folder, found.usable, bad.num_rows, first, on_bad_file, skip)
    return found


def list_files(folder: Location, work: Folder, subset: str | None, limit: int | None) -> None:
    """Write the images of a folder by their names, without reading them; what an earlier run left of other
    names goes.
    """
    listed = list_images(folder, subset=subset, limit=limit)
    table = pa.Table.from_pylist(listed.rows, noting(LISTING_SCHEMA, listed.left_out))
    unusable = _table(listed.problems)
    there = work.exists(LISTED) and work.read_table(LISTED).equals(table)
    if there and work.read_table(UNUSABLE).equals(unusable):
        return
    work.delete()
    work.write_table(UNUSABLE, unusable)
    work.write_table(LISTED, table)


class CheckShard:
    """An actor that reads the files of a shard in full, and leaves their rows and, last, what is wrong.

    Args:
        root: the dataset.
        work: the folder of the files.
        threads: that read; unset: as many as Python likes.
    """

    def __init__(self, root: Location, work: Folder, threads: int | None) -> None:
        self.root, self.work, self.threads = root, work, threads

    def __call__(self, row: Row) -> Row:
        """Read the images of a shard."""
        listed = self.work.read_rows(LISTED, row["start"], row["stop"]).to_pylist()
        good, bad = [], []
        for found in in_threads(
            partial(self._read, row), list(enumerate(listed, row["start"])), threads=self.threads
        ):
            if isinstance(found, BadFile):
                bad.append(found)
            else:
                good.append(found)
        self.work.write_table(part_name(row["shard"], "rows"), pa.Table.from_pylist(good, MANIFEST_SCHEMA))
        self.work.write_table(part_name(row["shard"], "bad"), _table(bad))
        return {**row, "images": row["stop"] - row["start"]}

    def _read(self, row: Row, numbered: tuple[int, Row]) -> Row | BadFile:
        number, listed = numbered
        try:
            require_kept(row, number)
        except DataError as error:
            return BadFile(listed["image_id"], listed["image"], f"cannot be used: {error}", "unreadable")
        return read_pair(self.root, listed)


def _table(bad: list[BadFile]) -> pa.Table:
    return pa.Table.from_pylist([asdict(found) for found in bad], BAD_SCHEMA)
