"""Traces of networks as files of one machine, for all processes that prepare the same ones: tracing takes
seconds.
"""

import hashlib
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch

from atal_ray.inference.operations import Operations
from atal_ray.inference.prepared import TraceKey


class TraceFiles(MutableMapping[TraceKey, Operations]):
    """The traces that lie in a folder, and those of this process that cannot lie in a file.

    Args:
        folder: made with the first trace; whoever can write to it decides what is computed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: dict[TraceKey, Operations] = {}

    def __getitem__(self, key: TraceKey) -> Operations:
        if key not in self._own:
            try:
                text = self._path(key).read_text()
            except OSError:
                raise KeyError(key) from None
            self._own[key] = Operations.from_json(text)
        return self._own[key]

    def __setitem__(self, key: TraceKey, traced: Operations) -> None:
        self._own[key] = traced
        try:
            text = traced.to_json()
            self.folder.mkdir(parents=True, exist_ok=True)
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

    def _path(self, key: TraceKey) -> Path:
        kind, structure, side = key
        text = f"{torch.__version__} {kind.__module__}.{kind.__qualname__} {structure} {side}"
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
