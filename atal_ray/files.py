"""A folder on any file system of pyarrow.fs: whole files only, so that nothing half-written is ever taken for whole."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from atal_ray.errors import CampaignError

UNFINISHED = ".unfinished-"
ROWS_PER_GROUP = 8192  # a shard reads only the row groups that hold its images


@dataclass(frozen=True)
class Folder:
    """A folder, named by a local path (made absolute) or a URI; it need not exist before the first write."""

    uri: str

    def __post_init__(self) -> None:
        if "://" not in self.uri:  # a Ray worker runs in a folder of its own
            object.__setattr__(self, "uri", str(Path(self.uri).expanduser().absolute()))

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.uri.rstrip('/')}/{name}")

    def open(self) -> tuple[fs.FileSystem, str]:
        """The file system, and this folder's path in it."""
        if "://" in self.uri:
            system, path = fs.FileSystem.from_uri(self.uri)
            return system, path
        return fs.LocalFileSystem(), self.uri

    def exists(self, name: str) -> bool:
        """Whether the folder holds a file or folder of that name."""
        system, path = self.open()
        return bool(system.get_file_info(f"{path}/{name}").type != fs.FileType.NotFound)

    def names(self) -> list[str]:
        """The names in the folder, sorted, without unfinished files; empty where there is no folder."""
        system, path = self.open()
        infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in infos if not info.base_name.startswith(UNFINISHED))

    @contextmanager
    def _whole_file(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to; it appears under its name when the block ends well, by rename or by one upload."""
        system, path = self.open()
        try:
            system.create_dir(path, recursive=True)
            if isinstance(system, fs.LocalFileSystem):
                unfinished = Path(path, f"{UNFINISHED}{uuid4().hex}-{name}")
                with unfinished.open("wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())  # or a power cut could leave an empty file under the name
                unfinished.replace(Path(path, name))
            else:
                with TemporaryFile() as file:  # an upload that a failing block cuts short would still be taken for whole
                    yield file
                    file.seek(0)
                    with system.open_output_stream(f"{path}/{name}") as stream:
                        shutil.copyfileobj(file, stream)
        except OSError as error:
            raise CampaignError(f"{path}/{name} cannot be written: {error}") from error

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file that appears whole or not at all."""
        with self._whole_file(name) as file:
            file.write(data)

    def write_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a text file line by line, so that it need not fit into memory; it appears whole or not at all."""
        with self._whole_file(name) as file:
            for line in lines:
                file.write(f"{line}\n".encode())

    def read_bytes(self, name: str) -> bytes:
        """The whole file."""
        system, path = self.open()
        try:
            with system.open_input_stream(f"{path}/{name}") as stream:
                return bytes(stream.read())
        except OSError as error:
            raise CampaignError(f"{path}/{name} cannot be read: {error}") from error

    def copy_from(self, other: "Folder", name: str) -> None:
        """Copy a file of another folder, where it exists; by a link where that can be: a file is replaced, never changed."""
        if other.exists(name) and not self._link(other, name):
            self.write_bytes(name, other.read_bytes(name))

    def _link(self, other: "Folder", name: str) -> bool:
        system, path = self.open()
        if not isinstance(system, fs.LocalFileSystem) or "://" in other.uri:
            return False
        link = Path(path, f"{UNFINISHED}{uuid4().hex}-{name}")
        try:
            system.create_dir(path, recursive=True)
            link.hardlink_to(Path(other.uri, name))
            link.replace(Path(path, name))
        except OSError:  # another disk, or one that knows no links
            return False
        finally:
            link.unlink(missing_ok=True)  # renaming a link onto another of the same file leaves it
        return True

    def write_tables(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Write tables, one after another, as one Parquet file; equal rows give equal bytes, however they are cut into tables."""
        with self._whole_file(name) as file, pq.ParquetWriter(file, schema) as writer:
            for group in _groups(tables, schema):
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write an Arrow table as one Parquet file."""
        self.write_tables(name, [table], table.schema)

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a Parquet file, whole or some of its columns."""
        with self._parquet(name) as file:
            return file.read(columns)

    def read_rows(self, name: str, start: int, stop: int) -> pa.Table:
        """Rows start to stop of a Parquet file that this class wrote; reads the row groups that hold them."""
        with self._parquet(name) as file:
            first, last = start // ROWS_PER_GROUP, max(start, stop - 1) // ROWS_PER_GROUP
            groups = file.read_row_groups(list(range(first, last + 1)))
            return groups.slice(start - first * ROWS_PER_GROUP, stop - start)

    def read_between(self, name: str, column: str, first: str, last: str) -> pa.Table:
        """The rows of a Parquet file whose value in a column is first to last; reads the row groups that can hold one."""
        with self._parquet(name) as file:
            index = file.schema_arrow.get_field_index(column)
            bounds = [file.metadata.row_group(group).column(index).statistics for group in range(file.metadata.num_row_groups)]
            apart = [bound is not None and bound.has_min_max and (bound.max < first or bound.min > last) for bound in bounds]
            rows = file.read_row_groups([group for group, elsewhere in enumerate(apart) if not elsewhere])
        return rows.filter(pc.and_(pc.greater_equal(rows[column], first), pc.less_equal(rows[column], last)))

    def count_rows(self, name: str) -> int:
        """Rows of a Parquet file."""
        with self._parquet(name) as file:
            return int(file.metadata.num_rows)

    @contextmanager
    def _parquet(self, name: str) -> Iterator[pq.ParquetFile]:
        system, path = self.open()
        try:
            with system.open_input_file(f"{path}/{name}") as stream:
                yield pq.ParquetFile(stream)
        except (OSError, pa.ArrowInvalid) as error:
            raise CampaignError(f"{path}/{name} cannot be read as a Parquet table: {error}") from error

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, indented for people."""
        self.write_bytes(name, (json.dumps(value, indent=1) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Read a JSON file."""
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise CampaignError(f"{self.uri}/{name} is not valid JSON: {error}") from error

    def remove(self, name: str) -> None:
        """Remove a file, where it exists."""
        system, path = self.open()
        if system.get_file_info(f"{path}/{name}").type == fs.FileType.File:
            system.delete_file(f"{path}/{name}")

    def delete(self) -> None:
        """Remove the folder and all in it, where it exists."""
        system, path = self.open()
        if system.get_file_info(path).type == fs.FileType.Directory:
            system.delete_dir(path)


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
