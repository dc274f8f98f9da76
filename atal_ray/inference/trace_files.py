"""Traces of networks as files of one machine, for all processes that prepare the same ones: tracing takes
seconds.
"""

import hashlib
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from stat import S_ISDIR
from tempfile import NamedTemporaryFile

import torch

from atal_ray.inference.operations import Operations
from atal_ray.inference.prepared import Traced, TraceKey


class TraceFiles(MutableMapping[TraceKey, Traced]):
    """The traces that lie in a folder, and those of this process that cannot lie in a file.

    Args:
        folder: made with the first trace, for this user alone; one of another user is left alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: dict[TraceKey, Traced] = {}

    def __getitem__(self, key: TraceKey) -> Traced:
        if key not in self._own:
            try:
                self._require_own()
                text = self._path(key).read_text()
            except OSError:
                raise KeyError(key) from None
            self._own[key] = Operations.from_json(text)
        return self._own[key]

    def __setitem__(self, key: TraceKey, traced: Traced) -> None:
        self._own[key] = traced
        try:
            text = traced.to_json()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._require_own()
            with NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
                file.write(text)
            Path(file.name).replace(self._path(key))
        except (ValueError, OSError):  # no disk, or no form for it: each process traces for itself
            return

    def __delitem__(self, key: TraceKey) -> None:
        del self._own[key]

    def __iter__(self) -> Iterator[TraceKey]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def _require_own(self) -> None:
        """Raise PermissionError for a folder that another user has made, or that others may write to."""
        status = self.folder.lstat()
        if not S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise PermissionError(f"{self.folder} is not this user's alone")

    def _path(self, key: TraceKey) -> Path:
        kind, structure, side = key
        text = f"{torch.__version__} {kind.__module__}.{kind.__qualname__} {structure} {side}"
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
