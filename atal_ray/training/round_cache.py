"""What does not change between the epochs of a round: decoded images and what is known of their pixels."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

import numpy as np
import numpy.typing as npt

logger = logging.getLogger(__name__)

FREE_SHARE = 0.1  # of the disk, which stays free for others


@dataclass(frozen=True)
class Decoded:
    """One image of a round as its file has it, and what is known of its pixels."""

    image: npt.NDArray[np.uint8]
    """[H, W, 3] in RGB."""
    known: npt.NDArray[np.uint8]
    """[H, W]: labels 0, 1, or 255 where nothing is known; for a recipe of full supervision the soft mask."""

    @property
    def size(self) -> int:
        """Bytes of both."""
        return self.image.nbytes + self.known.nbytes


class RoundCache:
    """Decoded images by their number: in memory up to a limit, the rest in a temporary file on the disk.

    Where the disk has no room either, an image is decoded again each time. Threads may share it.

    Args:
        limit: bytes of memory.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._kept: dict[int, Decoded] = {}
        self._places: dict[int, tuple[int, int, int]] = {}  # offset in the file, height, width
        self._file: IO[bytes] | None = None
        self._end, self._writing = 0, True
        self._lock = Lock()

    def get(self, index: int, make: Callable[[], Decoded]) -> Decoded:
        """The image of a number, made by `make` where it is not kept yet."""
        if index in self._kept:
            return self._kept[index]
        if index in self._places:
            return self._read(*self._places[index])
        made = make()
        if not self._keep(index, made) and self._writing:
            self._write(index, made)
        return made

    def _keep(self, index: int, made: Decoded) -> bool:
        with self._lock:
            fits = self.used + made.size <= self.limit
            if fits and index not in self._kept:
                self.used += made.size
                self._kept[index] = made
        return fits

    def _write(self, index: int, made: Decoded) -> None:
        with self._lock:
            if self._file is None:
                self._file = TemporaryFile(prefix="atal-round-", buffering=0)  # noqa: SIM115
            start, file = self._end, self._file.fileno()
            self._end += made.size
        try:
            disk = os.fstatvfs(file)
            if disk.f_bavail - made.size / disk.f_frsize < FREE_SHARE * disk.f_blocks:
                raise OSError("the disk is nearly full")
            for part, place in ((made.image, start), (made.known, start + made.image.nbytes)):
                if os.pwrite(file, np.ascontiguousarray(part).data, place) < part.nbytes:
                    raise OSError("the disk is full")
        except OSError as error:
            self._writing = False
            logger.warning("decoded images are kept in memory alone (%s): the rest is read anew", error)
            return
        self._places[index] = (start, *made.known.shape)

    def _read(self, start: int, height: int, width: int) -> Decoded:
        assert self._file is not None
        image, known = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
        read = os.preadv(self._file.fileno(), [image.data.cast("B"), known.data.cast("B")], start)
        if read < image.nbytes + known.nbytes:
            raise OSError(f"the temporary file of decoded images ends after {read} bytes of an image")
        return Decoded(image, known)
