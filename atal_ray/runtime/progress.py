"""A progress bar for work on other machines: the worker writes a small file, which the driver reads."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from tqdm import tqdm

from atal_ray.errors import CampaignError
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.store.folder import Folder

PROGRESS = "progress.json"
LOOK_SECONDS = 1.0


class Progress:
    """Writes the number of finished steps, at most once a second."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._left = folder, -math.inf

    def leave(self, done: float) -> None:
        """Write that so many steps are done; a store out of reach for a moment does not end the work."""
        if time.monotonic() - self._left >= LOOK_SECONDS:
            with suppress(CampaignError):
                self._folder.write_json(PROGRESS, {"done": int(done)})
            self._left = time.monotonic()


@contextmanager
def watch(folder: Folder, total: int, title: str, unit: str) -> Iterator[None]:
    """Show a bar that follows what workers `leave` in the folder while the block runs."""
    over = Event()
    with progress_bar(total, title, unit) as bar:
        thread = Thread(target=_follow, args=(folder, bar, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        bar.update(total - bar.n)  # `leave` may not have written the last step


def _follow(folder: Folder, bar: "tqdm[None]", over: Event) -> None:
    while True:
        last = over.wait(LOOK_SECONDS)
        try:
            if folder.exists(PROGRESS):
                done = int(folder.read_json(PROGRESS)["done"])
                bar.update(done - bar.n)
        except CampaignError:
            # The folder was just removed, as the work is over or starts again, or its store is out of reach
            # for a moment.
            pass
        if last:
            return
