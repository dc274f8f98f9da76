"""A file or folder of a dataset: a path, or its likeness on an object store."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from pyarrow import fs

from atal_ray.errors import StoreError
from atal_ray.store import uri as stores
from atal_ray.store.reasons import reason


@dataclass(frozen=True)
class StorePath:
    """What layouts ask of a path, for a URI; as text it is that URI, which a manifest keeps."""

    uri: str

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, name: str) -> "StorePath":
        return StorePath(stores.join(self.uri, name))

    @cached_property
    def key(self) -> PurePosixPath:
        """Its path in the store."""
        return PurePosixPath(stores.open_uri(self.uri)[1])

    @property
    def name(self) -> str:
        """Its last part."""
        return self.key.name

    @property
    def stem(self) -> str:
        """The last part without the suffix."""
        return self.key.stem

    @property
    def suffix(self) -> str:
        """The suffix with its dot."""
        return self.key.suffix

    @property
    def parent(self) -> "StorePath":
        """The folder it is in."""
        return StorePath(stores.split(self.uri)[0])

    def kind(self) -> fs.FileType:
        """Whether it is a file, a folder or nothing; StoreError where the store does not say."""
        system, path = stores.open_uri(self.uri)
        try:
            return system.get_file_info(path).type
        except OSError as error:
            raise StoreError(f"{self.uri} cannot be looked at: {reason(error)}") from error

    def entries(self) -> Iterator[tuple[str, bool]]:
        """The name of everything in the folder, and whether that is a folder; StoreError where it cannot be
        listed.
        """
        system, path = stores.open_uri(self.uri)
        try:
            infos = system.get_file_info(fs.FileSelector(path))
        except OSError as error:
            raise StoreError(f"{self.uri} cannot be listed: {reason(error)}") from error
        return ((info.base_name, info.type == fs.FileType.Directory) for info in infos)


Place = Path | StorePath


def as_place(where: str | Place) -> Place:
    """The place that a path or a URI names."""
    return (
        StorePath(where)
        if isinstance(where, str) and stores.is_uri(where)
        else where
        if isinstance(where, StorePath)
        else Path(where)
    )


def relative(place: Place, root: Place) -> str:
    """Where a file is below a folder."""
    if isinstance(place, StorePath) and isinstance(root, StorePath):
        return str(place.key.relative_to(root.key))
    return str(Path(str(place)).relative_to(str(root)))


def set_name(folder: Place) -> str:
    """What the test set in a folder is called."""
    return (folder.resolve() if isinstance(folder, Path) else folder).name
