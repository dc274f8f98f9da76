"""One process at a time in a folder of an object store: a lease, which expires if it is not renewed."""

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any
from uuid import uuid4

from atal_ray.errors import CampaignError
from atal_ray.store.folder import UNFINISHED, Folder
from atal_ray.store.lease_file import LeaseChangedError, LeaseFile, Version, open_lease_file

LOCK = "campaign.lock"
_ROUNDING = 1.0  # seconds by which the age of a file can be wrong: stores give times in whole seconds

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """Seconds of a lease."""

    beat: float = 10.0
    """Between two renewals."""
    stale: float = 60.0
    """Without a renewal, after which another process may take it."""
    settle: float = 2.0
    """Between writing it and looking whose it is; only where a store cannot write on a condition."""


class Held:
    """A lock that is held; the operating system takes none away."""

    def check(self) -> None:
        """Raise CampaignError where the lock is lost."""


class Lease(Held):
    """A file that its owner replaces every few seconds, and that others may replace once it is stale.

    On S3 a replacement succeeds only where the content is still the one that it replaces, so that at most one
    process has the lease (for other stores see `CheckedFile`). An owner that was suspended or cut off for
    longer than `Times.stale` may work on beside its successor until its next renewal fails, which stops it.
    Files appear whole and do not depend on who writes them, so this costs work and changes no result. The age
    of the lease is measured by the store's clock alone.
    """

    def __init__(self, folder: Folder, times: Times) -> None:
        self.folder, self.times = folder, times
        self.file: LeaseFile = open_lease_file(folder, LOCK, times.settle)
        self.owner, self.renewals, self.renewed_at, self.lost = uuid4().hex, 0, time.monotonic(), ""
        self.version: Version | None = None

    def take(self) -> None:
        """Take the lease where there is none, or once it is stale; CampaignError if its owner renews it."""
        seen = self.file.read()
        while seen is not None and not _is_free(seen) and (left := self.times.stale - self._age()) > 0:
            logger.warning("waiting for the lock of %s to grow stale: %.0f s", self.folder.uri, left)
            time.sleep(min(left, self.times.beat))
            now = self.file.read()
            if now is not None and now != seen and not _is_free(now):
                raise in_use(self.folder.uri)
            seen = now
        try:
            self._write(seen)
        except LeaseChangedError:
            raise in_use(self.folder.uri) from None

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease while the block runs, and give it up at its end; CampaignError ends a block whose
        lease is lost.
        """
        over, main = threading.Event(), threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGUSR1, self._interrupt) if main else None
        thread = threading.Thread(target=self._renew, args=(over, main), daemon=True)
        thread.start()
        try:
            yield
            self.check()
        except BaseException as error:
            if self.lost and str(error) != self.lost:  # the interruption came out as another exception
                raise CampaignError(self.lost) from error
            raise
        finally:
            over.set()
            thread.join()
            if main:
                signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)
            self._give_up()

    def check(self) -> None:
        """Raise CampaignError where another process has the lease, or may have it by now."""
        if not self.lost and time.monotonic() - self.renewed_at > self.times.stale:
            self.lost = self._not_renewed(f" for {self.times.stale:.0f} s")
        if self.lost:
            raise CampaignError(self.lost)

    def _renew(self, over: threading.Event, interrupt: bool) -> None:
        """Renew the lease until the block is over; interrupt the block before others may take the lease."""
        while not over.wait(self.times.beat):
            try:
                self._write(self.version)
                self.check()  # the answer may have come late
            except LeaseChangedError:
                self.lost = (
                    f"another process has taken the lock of {self.folder.uri}: "
                    "this one stops, what it has done is kept"
                )
            except CampaignError:  # the next try ends one beat of waiting and one of asking later
                if (
                    not self.lost
                    and time.monotonic() - self.renewed_at > self.times.stale - 2 * self.times.beat
                ):
                    self.lost = self._not_renewed("")
            if self.lost:
                if interrupt and not over.is_set():
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                return

    def _not_renewed(self, how_long: str) -> str:
        return f"the lock of {self.folder.uri} could not be renewed{how_long}: run the same command again"

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        raise CampaignError(self.lost or f"the lock of {self.folder.uri} was lost")

    def _age(self) -> float:
        """Seconds since the lease was renewed, at least: the store's time of a file written now, less that of
        the lease.
        """
        probe = f"{UNFINISHED}{self.owner}-{LOCK}"
        self.folder.write_bytes(probe, b"")
        now, lease = self.folder.info(probe).mtime_ns, self.folder.info(LOCK).mtime_ns
        self.folder.remove(probe)
        return (now - lease) / 1e9 - _ROUNDING if lease is not None else self.times.stale

    def _write(self, old: Version | None, *, free: bool = False) -> None:
        """Replace the lease by this process's, or by one that is free to take."""
        started = time.monotonic()
        self.renewals += 1
        fields = {
            "owner": self.owner,
            "free": free,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "renewals": self.renewals,
        }
        content = json.dumps(fields).encode()
        try:
            self.version = self.file.replace(old, content)
        except LeaseChangedError:
            now = self.file.read()
            if now is None or _fields(now).get("owner") != self.owner:
                raise
            self.version = self.file.replace(now, content)  # an earlier write, whose answer never came
        self.renewed_at = started

    def _give_up(self) -> None:
        with suppress(LeaseChangedError, CampaignError):  # it is another's, or grows stale
            self._write(self.version, free=True)  # it may be another's by now, which a removal could not see


def in_use(folder: str) -> CampaignError:
    """The error of a folder that another process holds."""
    return CampaignError(f"{folder} is in use by another process: wait for it, or choose another folder")


def _is_free(version: Version) -> bool:
    return bool(_fields(version).get("free"))


def _fields(version: Version) -> dict[str, Any]:
    try:
        fields = json.loads(version.content)
    except ValueError:  # a local lock that was copied: an empty file
        return {}
    return fields if isinstance(fields, dict) else {}
