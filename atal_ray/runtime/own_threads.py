"""The number of threads of this process, which stages that run inline set for themselves."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def own_threads() -> Iterator[None]:
    """Whatever the block sets, PyTorch and OpenCV have as many threads as before when it ends.

    PyTorch takes two seconds to load: where it is not loaded yet, nothing that runs here uses it.
    """
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0, cv2.getNumThreads()
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
