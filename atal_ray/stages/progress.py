"""A progress bar for work on other machines: the worker leaves a small file, the driver looks at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tqdm import tqdm

from atal_ray.errors import CampaignError
from atal_ray.files import Folder
from atal_ray.progress_bar import progress_bar

PROGRESS = "progress.json"
LOOK_SECONDS = 1.0


def leave(folder: Folder, done: int) -> None:
    """Tell whoever looks that `done` steps are behind us."""
    folder.write_json(PROGRESS, {"done": done})


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


def _follow(folder: Folder, bar: "tqdm[None]", over: Event) -> None:
    while True:
        last = over.wait(LOOK_SECONDS)
        try:
            if folder.exists(PROGRESS):
                done = int(folder.read_json(PROGRESS)["done"])
                bar.update(done - bar.n)
        except CampaignError:
            pass  # the folder was just removed: the work is over, or starts again; or its store is out of reach for a moment
        if last:
            return
