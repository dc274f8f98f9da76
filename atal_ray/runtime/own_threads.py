"""The number of threads of this process, which stages that run inline set for themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def own_threads() -> Iterator[None]:
    """Whatever the block sets, PyTorch and OpenCV have as many threads as before when it ends."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
