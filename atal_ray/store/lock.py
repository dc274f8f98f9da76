"""One process at a time in a campaign's folder: the operating system's lock on a local one, a lease on an
object store.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from uuid import uuid4

from filelock import FileLock, Timeout

from atal_ray.errors import CampaignError
from atal_ray.store.folder import UNFINISHED, Folder

LOCK = "campaign.lock"


@dataclass(frozen=True)
class Times:
    """Seconds of a lease."""

    beat: float = 10.0
    """Between two renewals."""
    stale: float = 60.0
    """Without a renewal, after which anybody may take it."""
    settle: float = 2.0
    """Between writing it and looking whether somebody else wrote it too."""


class Held:
    """A lock that is held; the operating system takes none away."""

    def check(self) -> None:
        """Raise CampaignError where the lock is lost."""


@contextmanager
def locked(folder: Folder | Path | str, times: Times | None = None) -> Iterator[Held]:
    """Hold a folder for this process; a local one is free when the process ends in any way, another one
    `Times.stale` later.

    Raises:
        CampaignError: it is in use, cannot be written, or its lease was lost meanwhile; a path that is
            neither local nor a URI.
    """
    place = Folder.at(folder)
    with _locked_path(Path(place.uri)) if place.is_local else _leased(place, times or Times()) as held:
        yield held


@contextmanager
def _locked_path(folder: Path) -> Iterator[Held]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise _in_use(str(folder)) from None
    except OSError as error:
        raise CampaignError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        yield Held()
    finally:
        lock.release()


@contextmanager
def _leased(folder: Folder, times: Times) -> Iterator[Held]:
    folder.make()
    lease = Lease(folder, times)
    lease.take()
    with lease.renewed():
        yield lease


def _in_use(folder: str) -> CampaignError:
    return CampaignError(f"{folder} is in use by another process: wait for it, or choose another folder")


class Lease(Held):
    """A file that its owner writes anew every few seconds, in a store that can neither lock nor write on a
    condition.

    What it promises: a second process that comes while the first one runs is refused; a dead process locks
    nobody out for longer than `Times.stale`; of two that come at once, one is refused, unless one of them
    takes longer than `Times.settle` from looking to writing. Then, or when the owner was suspended or cut off
    for so long that another took over, both work until the first one's next renewal, which notices and stops
    it. Files appear whole and do not depend on who writes them, so that costs work, not points. Ages are
    taken from the store's own clock alone.
    """

    def __init__(self, folder: Folder, times: Times) -> None:
        self.folder, self.times = folder, times
        self.owner, self.beats, self.renewal, self.lost = uuid4().hex, 0, time.monotonic(), ""

    def take(self) -> None:
        """Write the lease when there is none, or once the one that is there is stale; CampaignError if
        somebody renews it.
        """
        seen = self._content()
        while seen is not None and (left := self.times.stale - self._age()) > 0:
            print(f"waiting for the lock of {self.folder.uri} to grow stale: {left:.0f} s", flush=True)
            time.sleep(min(left, self.times.beat))
            now = self._content()
            if now not in (seen, None):
                raise _in_use(self.folder.uri)
            seen = now
        self._write()
        time.sleep(self.times.settle)
        if not self._is_mine():
            raise _in_use(self.folder.uri)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease while the block runs, and give it up at its end; where it is lost, a CampaignError
        ends the block.
        """
        over, main = threading.Event(), threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGUSR1, self._interrupt) if main else None
        thread = threading.Thread(target=self._renew, args=(over, main), daemon=True)
        thread.start()
        try:
            yield
            self.check()
        except BaseException as error:
            if self.lost and str(error) != self.lost:  # whatever the interruption has become on its way here
                raise CampaignError(self.lost) from error
            raise
        finally:
            over.set()
            thread.join()
            if main:
                signal.signal(signal.SIGUSR1, before or signal.SIG_DFL)
            self._give_up()

    def check(self) -> None:
        """Raise CampaignError where another process has the lease, or could have it by now."""
        if not self.lost and time.monotonic() - self.renewal > self.times.stale:
            self.lost = f"the lock of {self.folder.uri} could not be renewed for {self.times.stale:.0f} s: run the same command again"
        if self.lost:
            raise CampaignError(self.lost)

    def _renew(self, over: threading.Event, interrupt: bool) -> None:
        while not over.wait(self.times.beat):
            try:
                if self._is_mine():
                    self._write()
                else:
                    self.lost = f"another process has taken the lock of {self.folder.uri}: this one stops, what it has done is kept"
                self.check()
            except CampaignError:  # the store may be back before the lease is stale
                if not self.lost and time.monotonic() - self.renewal <= self.times.stale - self.times.beat:
                    continue
                self.lost = (
                    self.lost
                    or f"the lock of {self.folder.uri} could not be renewed: run the same command again"
                )
                if interrupt and not over.is_set():
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                return

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        raise CampaignError(self.lost or f"the lock of {self.folder.uri} was lost")

    def _content(self) -> bytes | None:
        if not self.folder.exists(LOCK):
            return None
        try:
            return self.folder.read_bytes(LOCK)
        except CampaignError:
            if self.folder.exists(LOCK):
                raise
            return None  # given up between the two looks

    def _age(self) -> float:
        """Seconds since the lease was renewed: between the store's times of it and of a file that is written
        now.
        """
        probe = f"{UNFINISHED}{self.owner}-{LOCK}"
        self.folder.write_bytes(probe, b"")
        now, lease = self.folder.info(probe).mtime_ns, self.folder.info(LOCK).mtime_ns
        self.folder.remove(probe)
        return (now - lease) / 1e9 if lease is not None else self.times.stale

    def _write(self) -> None:
        started = time.monotonic()
        self.beats += 1
        content = {
            "owner": self.owner,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "renewals": self.beats,
        }
        self.folder.write_bytes(LOCK, json.dumps(content).encode())
        self.renewal = started

    def _is_mine(self) -> bool:
        return self.owner.encode() in (self._content() or b"")

    def _give_up(self) -> None:
        try:
            if self._is_mine():
                self.folder.remove(LOCK)
        except CampaignError:
            pass  # nobody renews it any more: it grows stale
