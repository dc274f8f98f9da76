"""A folder on any file system of pyarrow.fs: whole files only, so that nothing half-written is ever taken for whole."""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from atal_ray.errors import CampaignError


@dataclass(frozen=True)
class Folder:
    """A folder, named by a local path or a URI; it need not exist before the first write."""

    uri: str

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.uri.rstrip('/')}/{name}")

    def open(self) -> tuple[fs.FileSystem, str]:
        """The file system, and this folder's path in it."""
        if "://" in self.uri:
            system, path = fs.FileSystem.from_uri(self.uri)
            return system, path
        return fs.LocalFileSystem(), str(Path(self.uri).absolute())

    def exists(self, name: str) -> bool:
        """Whether the folder holds a file or folder of that name."""
        system, path = self.open()
        return bool(system.get_file_info(f"{path}/{name}").type != fs.FileType.NotFound)

    def names(self) -> list[str]:
        """The names in the folder, sorted, without unfinished files; empty where there is no folder."""
        system, path = self.open()
        infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in infos if not info.base_name.startswith(".unfinished-"))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file that appears whole or not at all: by rename on a local path, by one upload on a store."""
        system, path = self.open()
        local = isinstance(system, fs.LocalFileSystem)
        target = f"{path}/.unfinished-{os.getpid()}-{name}" if local else f"{path}/{name}"
        try:
            system.create_dir(path, recursive=True)
            with system.open_output_stream(target) as stream:
                stream.write(data)
            if local:
                Path(target).replace(f"{path}/{name}")
        except OSError as error:
            raise CampaignError(f"{path}/{name} cannot be written: {error}") from error

    def read_bytes(self, name: str) -> bytes:
        """The whole file."""
        system, path = self.open()
        try:
            with system.open_input_stream(f"{path}/{name}") as stream:
                return bytes(stream.read())
        except OSError as error:
            raise CampaignError(f"{path}/{name} cannot be read: {error}") from error

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write an Arrow table as one Parquet file; equal rows give equal bytes."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self.write_bytes(name, buffer.getvalue())

    def read_table(self, name: str) -> pa.Table:
        """Read a Parquet file that `write_table` wrote."""
        try:
            return pq.read_table(pa.BufferReader(self.read_bytes(name)))
        except pa.ArrowInvalid as error:
            raise CampaignError(f"{self.uri}/{name} is not a Parquet table: {error}") from error

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, indented for people."""
        self.write_bytes(name, (json.dumps(value, indent=1) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Read a JSON file."""
        try:
            return json.loads(self.read_bytes(name))
        except ValueError as error:
            raise CampaignError(f"{self.uri}/{name} is not valid JSON: {error}") from error

    def delete(self) -> None:
        """Remove the folder and all in it, where it exists."""
        system, path = self.open()
        if system.get_file_info(path).type == fs.FileType.Directory:
            system.delete_dir(path)
