"""One process at a time in a folder: the operating system's lock on a disk, a lease on an object store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from atal_ray.errors import CampaignError
from atal_ray.store.folder import Folder
from atal_ray.store.lease import LOCK, Held, Lease, Times, in_use


@contextmanager
def locked(folder: Folder | Path | str, times: Times | None = None) -> Iterator[Held]:
    """Hold a folder for this process.

    A local one is free when the process ends in any way, one on a store `Times.stale` after it was killed.

    Raises:
        CampaignError: it is in use, cannot be written, or its lease was lost meanwhile; a path that is
            neither local nor a URI.
    """
    root = Folder.at(folder)
    with _locked_path(Path(root.uri)) if root.is_local else _leased(root, times or Times()) as held:
        yield held


@contextmanager
def _locked_path(folder: Path) -> Iterator[Held]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise in_use(str(folder)) from None
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
