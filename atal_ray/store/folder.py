"""A folder on any file system of pyarrow.fs, in which every file is whole, never half-written."""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from atal_ray.errors import CampaignError, StoreError
from atal_ray.store import uri as stores
from atal_ray.store.location import Location

UNFINISHED = ".unfinished-"
ROWS_PER_GROUP = 8192  # a shard reads only the row groups that hold its images


@dataclass(frozen=True, slots=True)
class Folder(Location):
    """A location that files are written to; the folder need not exist before the first write."""

    def where(self, name: str) -> str:
        """The path or URI of a file in the folder, for people and for configurations."""
        return stores.join(self.uri, name)

    def info(self, name: str) -> fs.FileInfo:
        """What is known of a file or folder without reading it: its type, size and time of change."""
        system, path = self.open()
        with self._naming("looked at"):
            return system.get_file_info(f"{path}/{name}")

    @contextmanager
    def _naming(self, verb: str) -> Iterator[None]:
        """Name the folder where its file system fails as a whole."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.uri} cannot be {verb}: {self.reason(error)}") from error

    def make(self) -> None:
        """Make the folder; on S3, which has none, the bucket, if the URI allows it."""
        system, path = self.open()
        try:
            if not isinstance(system, fs.S3FileSystem):
                system.create_dir(path, recursive=True)
            elif (bucket := stores.s3_bucket(self.uri)) and bucket.may_be_made:
                system.create_dir(path.partition("/")[0])
        except OSError as error:
            raise CampaignError(f"{self.uri} cannot be written: {self.reason(error)}") from error

    def exists(self, name: str) -> bool:
        """Whether the folder holds a file or folder of that name."""
        return bool(self.info(name).type != fs.FileType.NotFound)

    def names(self) -> list[str]:
        """The names in the folder, sorted, without unfinished files; empty where there is no folder."""
        system, path = self.open()
        with self._naming("listed"):
            infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in infos if not info.base_name.startswith(UNFINISHED))

    @contextmanager
    def _whole_file(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to; it appears under its name, whole, when the block ends without an error."""
        system, path = self.open()
        try:
            if not isinstance(system, fs.S3FileSystem):  # which has no folders, and no need of them
                system.create_dir(path, recursive=True)
            if isinstance(system, fs.LocalFileSystem):
                unfinished = Path(path, f"{UNFINISHED}{uuid4().hex}-{name}")
                try:
                    with unfinished.open("wb") as file:
                        yield file
                        file.flush()
                        os.fsync(file.fileno())  # or a power cut could leave an empty file under the name
                    unfinished.replace(Path(path, name))
                finally:
                    unfinished.unlink(missing_ok=True)  # where the disk is full, its room is wanted
            else:
                with TemporaryFile() as file:
                    yield file
                    file.flush()
                    with ThreadPoolExecutor(1) as thread:
                        thread.submit(_upload, file, system, f"{path}/{name}").result()
        except OSError as error:
            raise CampaignError(f"{self.where(name)} cannot be written: {self.reason(error)}") from error

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file that appears whole or not at all."""
        with self._whole_file(name) as file:
            file.write(data)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file line by line, which need not fit into memory; it appears whole or not at all."""
        with self._whole_file(name) as file:
            for line in lines:
                file.write(f"{line}\n".encode())

    def read_bytes(self, name: str) -> bytes:
        """The whole file; CampaignError where it is not there, StoreError where its store is out of reach."""
        with self.stream(name) as stream:
            return bytes(stream.read())

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """A file to read from; errors as for `read_bytes`."""
        system, path = self.open()
        try:
            with system.open_input_stream(f"{path}/{name}") as stream:
                yield stream
        except OSError as error:
            kind = CampaignError if self.is_local or isinstance(error, FileNotFoundError) else StoreError
            raise kind(f"{self.where(name)} cannot be read: {self.reason(error)}") from error

    def copy_from(self, other: "Folder", name: str) -> None:
        """Copy a file of another folder, if it exists."""
        if other.exists(name):
            self.copy(other, name, name)

    def copy(self, other: "Folder", name: str, new_name: str) -> None:
        """Copy a file of another folder; on one disk by a hard link, as files never change.

        Args:
            other: where it is.
            name: there.
            new_name: here.

        Raises:
            CampaignError: it is not there, or cannot be written here.
            StoreError: its store is out of reach.
        """
        if not self._link(other, name, new_name):
            self.write_bytes(new_name, other.read_bytes(name))

    def _link(self, other: "Folder", name: str, new_name: str) -> bool:
        if not (self.is_local and other.is_local):
            return False
        link = Path(self.uri, f"{UNFINISHED}{uuid4().hex}-{new_name}")
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.hardlink_to(Path(other.uri, name).resolve())  # of a symbolic link, its file
            with link.open("rb") as file:
                os.fsync(file.fileno())  # what wrote it may not have waited for the disk
            link.replace(Path(self.uri, new_name))
        except OSError:  # another disk, or one that knows no links
            return False
        finally:
            with suppress(OSError):  # where the folder is none, writing says so
                link.unlink(missing_ok=True)  # renaming a link onto another of the same file leaves it
        return True

    def copy_tree(self, local: Path) -> None:
        """Copy all files of a local folder and of its subfolders."""
        for file in sorted(path for path in local.rglob("*") if path.is_file()):
            *folders, name = file.relative_to(local).parts
            folder = self / "/".join(folders) if folders else self
            folder.write_bytes(name, file.read_bytes())

    def write_tables(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Write tables one after another as one Parquet file; how the rows are cut changes no byte of it."""
        # Dictionaries take megabytes of the writer's memory for each column, and save nothing behind zstd.
        with (
            self._whole_file(name) as file,
            pq.ParquetWriter(file, schema, use_dictionary=False, compression="zstd") as writer,
        ):
            for group in _groups(tables, schema):
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write an Arrow table as one Parquet file."""
        self.write_tables(name, [table], table.schema)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a Parquet file, whole or some of its columns."""
        with self.parquet(name) as file:
            return file.read(columns)

    def read_rows(self, name: str, start: int, stop: int) -> pa.Table:
        """Rows start to stop of a Parquet file that this class wrote; reads the row groups that hold them."""
        with self.parquet(name) as file:
            first, last = start // ROWS_PER_GROUP, max(start, stop - 1) // ROWS_PER_GROUP
            groups = file.read_row_groups(list(range(first, last + 1)))
            return groups.slice(start - first * ROWS_PER_GROUP, stop - start)

    def read_between(self, name: str, column: str, first: str, last: str) -> pa.Table:
        """The rows whose value in a column is first to last; reads the row groups that can hold one."""
        with self.parquet(name) as file:
            index = file.schema_arrow.get_field_index(column)
            bounds = [
                file.metadata.row_group(group).column(index).statistics
                for group in range(file.metadata.num_row_groups)
            ]
            apart = [
                bound is not None and bound.has_min_max and (bound.max < first or bound.min > last)
                for bound in bounds
            ]
            rows = file.read_row_groups([group for group, elsewhere in enumerate(apart) if not elsewhere])
        return rows.filter(pc.and_(pc.greater_equal(rows[column], first), pc.less_equal(rows[column], last)))

    def count_rows(self, name: str) -> int:
        """Rows of a Parquet file."""
        with self.parquet(name) as file:
            return int(file.metadata.num_rows)

    @contextmanager
    def parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        """An open Parquet file; CampaignError where it cannot be read."""
        system, path = self.open()
        try:
            with system.open_input_file(f"{path}/{name}") as stream:
                yield pq.ParquetFile(stream)
        except (OSError, pa.ArrowInvalid) as error:
            raise CampaignError(
                f"{self.where(name)} cannot be read as a Parquet table: {self.reason(error)}"
            ) from error

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, indented for people."""
        self.write_bytes(name, (json.dumps(value, indent=1) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Read a JSON file."""
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise CampaignError(f"{self.where(name)} is not valid JSON: {error}") from error

    def remove(self, name: str) -> None:
        """Remove a file, where it exists."""
        system, path = self.open()
        if self.info(name).type == fs.FileType.File:
            with self._naming("written"):
                system.delete_file(f"{path}/{name}")

    def delete(self) -> None:
        """Remove the folder and all in it, where it exists."""
        system, path = self.open()
        with self._naming("deleted"):
            if system.get_file_info(path).type == fs.FileType.Directory:
                system.delete_dir(path)


def _upload(file: IO[bytes], system: fs.FileSystem, path: str) -> None:
    """Store a whole local file under a name.

    A stream that is closed, by an exception too, completes its upload with as much as was written. So all is
    written in one call, in a thread, where no signal can raise an exception before it. A process that dies
    completes nothing.
    """
    data = mmap(file.fileno(), 0, access=ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    with system.open_output_stream(path) as stream:
        stream.write(data)


def _groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of the tables as tables of ROWS_PER_GROUP, the last one shorter: `read_rows` counts on it."""
    waiting = schema.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= ROWS_PER_GROUP:
            yield waiting.slice(0, ROWS_PER_GROUP).combine_chunks()
            waiting = waiting.slice(ROWS_PER_GROUP)
    if waiting.num_rows:
        yield waiting.combine_chunks()
