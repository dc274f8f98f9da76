"""The life of a run, the same for every command: lock the folder, keep the plan, do what is missing, report
last.
"""

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from atal_ray.config import config_file
from atal_ray.config.section import Section
from atal_ray.store.folder import Folder
from atal_ray.store.lease import Held
from atal_ray.store.lock import locked

Result = TypeVar("Result")
Plan = TypeVar("Plan", bound=Section)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run whose folder this process holds."""

    root: Folder
    lock: Held

    def step(self, folder: Folder, name: str, make: Callable[[], None]) -> None:
        """Make a file unless it is there; files appear whole, and a stage writes its named file last."""
        if folder.exists(name):
            logger.debug("%s is there", folder.where(name))
            return
        logger.debug("%s is missing", folder.where(name))
        make()
        give_back_memory()
        self.lock.check()

    def finish(self, make: Callable[[], Result]) -> Result:
        """Make what is made anew each time, such as a report, while the folder is still held."""
        self.lock.check()
        return make()


def give_back_memory() -> None:
    """Give the system what Arrow and the C library keep of a stage that is over: tens of megabytes, the more
    the more threads worked.
    """
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):  # another C library has no such function
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def run_in(
    root: Folder,
    plan: Plan,
    name: str,
    *,
    started: bool | Callable[[], bool],
    admit: Callable[[Plan, Plan], None] = lambda before, now: None,
) -> Iterator[Run]:
    """Hold a folder for the time of the block, with its plan kept in it.

    Args:
        root: the folder; made if it is not there.
        plan: what is to be done.
        name: the file of the plan.
        started: whether work with the kept plan has begun; until then it may still change, for a mistyped
            path must not spoil the folder.
        admit: called with the kept plan and this one where work has begun and they differ in nothing but what
            may change; it raises where a value cannot be had. Nothing is written before.

    Raises:
        CampaignError: the folder is in use or cannot be written, or was started with another plan (the
            difference is named).
    """
    with locked(root) as lock:
        if (started() if callable(started) else started) and root.exists(name):
            before = config_file.kept(root, name, type(plan))
            config_file.require_equal(root, before, plan)
            admit(before, plan)
            changed = config_file.differences(before, plan, free=True)
            if changed:
                logger.info("%s goes on with\n  %s", root.uri, "\n  ".join(changed))
        config_file.keep(root, name, plan)
        yield Run(root, lock)
