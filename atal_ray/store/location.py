"""Where a file or folder lies: the one type for a local path or a URI."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from re import compile as pattern
from typing import Self, TypeAlias
from urllib.parse import unquote

from pyarrow import fs

from atal_ray.errors import CampaignError, DataError, StoreError
from atal_ray.store import uri as stores
from atal_ray.store.reasons import reason

_URI_AS_PATH = pattern(r"^[a-z][a-z0-9+.-]+:/(?!/)")


@dataclass(frozen=True, slots=True)
class Location:
    """A local path (made absolute) or a URI; as text it is what a manifest keeps. Nothing need be there."""

    uri: str

    def __post_init__(self) -> None:
        if stores.is_uri(self.uri):
            stores.check_uri(self.uri)
        elif not _is_plain(self.uri):
            object.__setattr__(self, "uri", str(Path(self.uri).expanduser().absolute()))

    @classmethod
    def at(cls, where: "AnyLocation") -> Self:
        """The location that a path or a URI names.

        Raises:
            CampaignError: a URI was made a path, which drops one of its slashes.
            ConfigError: a URI that holds credentials.
        """
        if isinstance(where, cls):
            return where
        if _URI_AS_PATH.match(str(where)):
            raise CampaignError(
                f"{where} is no local path: give one, or (not to `atal evaluate`) a URI as text, "
                "as in s3://bucket/folder"
            )
        return cls(str(where))

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, name: str) -> Self:
        return type(self)(stores.join(self.uri, name))

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine, where files can be locked, linked and renamed."""
        return not stores.is_uri(self.uri)

    @property
    def local_path(self) -> Path:
        """The path, for code that works with files of this machine; ValueError for a URI."""
        if not self.is_local:
            raise ValueError(f"{self.uri} is no local path")
        return Path(self.uri)

    @property
    def name(self) -> str:
        """The last part."""
        return stores.split(self.uri)[1]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "Location":
        """The folder it is in."""
        return Location(stores.split(self.uri)[0] or "/")

    def relative_to(self, root: "Location") -> str:
        """The path below a folder, of a URI without %-escapes; ValueError if it is not below."""
        own, above = _base(self.uri), f"{_base(root.uri)}/"
        if not own.startswith(above):
            raise ValueError(f"{self.uri} is not below {root.uri}")
        return own[len(above) :] if self.is_local else unquote(own[len(above) :])

    def resolved(self) -> Self:
        """Where it is once symbolic links are followed; a URI as it is."""
        return type(self)(str(Path(self.uri).resolve())) if self.is_local else self

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link, which no store has."""
        return self.is_local and Path(self.uri).is_symlink()

    def is_below(self, root: "Location") -> bool:
        """Whether it still is in a folder (given without links) once symbolic links are followed."""
        target = self.resolved()
        return target.uri == root.uri or _base(target.uri).startswith(f"{_base(root.uri)}/")

    def open(self) -> tuple[fs.FileSystem, str]:
        """The file system, and the path in it."""
        return (fs.LocalFileSystem(), self.uri) if self.is_local else stores.open_uri(self.uri)

    def kind(self) -> fs.FileType:
        """Whether it is a file, a folder or nothing; StoreError where that cannot be told."""
        system, path = self.open()
        try:
            return system.get_file_info(path).type
        except OSError as error:
            raise StoreError(f"{self.uri} cannot be looked at: {self.reason(error)}") from error

    def entries(self) -> Iterator[tuple[str, bool]]:
        """The name of everything in a folder, in no order, and whether that is a folder.

        Raises:
            DataError: a local folder cannot be listed.
            StoreError: a folder of a store cannot be listed.
        """
        if self.is_local:
            try:
                with os.scandir(self.uri) as entries:
                    for entry in entries:
                        yield entry.name, entry.is_dir()
            except OSError as error:
                raise DataError(f"{self.uri} cannot be listed: {error.strerror}") from error
            return
        system, path = self.open()
        try:
            infos = system.get_file_info(fs.FileSelector(path))
        except OSError as error:
            raise StoreError(f"{self.uri} cannot be listed: {self.reason(error)}") from error
        for info in infos:
            yield info.base_name, info.type == fs.FileType.Directory

    def read(self) -> bytes:
        """All bytes of a file; OSError where it cannot be read, StoreError where its store cannot be."""
        return self.local_path.read_bytes() if self.is_local else stores.read_uri(self.uri)

    def reason(self, error: BaseException) -> str:
        """What went wrong here, for a message: for a store, with what to do about it."""
        if self.is_local:
            return getattr(error, "strerror", None) or str(error)  # without a number
        return reason(error)


AnyLocation: TypeAlias = Location | Path | str
"""What `Location.at` takes."""


def _is_plain(path: str) -> bool:
    """Whether a path is absolute and as short as can be; most are, and pathlib takes long to say so."""
    return path.startswith("/") and "//" not in path and "/." not in path and not path.endswith("/")


def _base(where: str) -> str:
    """The path, or the URI without its query."""
    return (where.partition("?")[0] if stores.is_uri(where) else where).rstrip("/")
