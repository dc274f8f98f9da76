"""What a Ray that this process has started writes on this machine's disk: kept where it may explain an error,
and no longer.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WORKER = re.compile(r"worker-.*[-_](\d+)\.(log|out|err)$")
"""A file of one worker's process, whose number it ends with."""
_own: list[Path] = []


@contextmanager
def own_logs(session_dir: str) -> Iterator[None]:
    """The folder of a Ray that this process has started; it goes when the block ends without an error, unless
    everything is to be logged.

    Args:
        session_dir: what Ray says of itself.
    """
    place = Path(session_dir)
    _own.append(place)
    try:
        yield
    finally:
        _own.remove(place)
    if not logging.getLogger("atal_ray").isEnabledFor(logging.DEBUG):
        shutil.rmtree(place, ignore_errors=True)


def forget_ended_workers() -> None:
    """Remove the logs of workers of this process's own Ray that have ended; a long sweep has thousands."""
    for place in _own:
        for path in (place / "logs").glob("*worker-*"):
            found = _WORKER.search(path.name)
            if found and not _runs(int(found[1])):
                path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
