"""The batches of a round: loaded by threads that live across its epochs, and drawn on the device."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from atal_ray.training.raw_batch import RawBatch
from atal_ray.training.samples import Draw, Samples

MOST_THREADS = 8  # more of them wait for Python's lock

Batch = tuple[Tensor, Tensor]
"""Images uint8 [B, 3, S, S] and targets [B, S, S]."""


def threads_for(wanted: int | None, *, cores: int, busy: int, workers: int) -> int:
    """Threads that load for one worker.

    Args:
        wanted: as many, if it is set.
        cores: of this machine.
        busy: threads of one worker that compute.
        workers: workers on this machine, which share the cores.
    """
    if wanted is not None:
        return wanted
    return min(MOST_THREADS, max(1, cores // workers - busy))


class Loader:
    """Loads batches ahead of the training. Decoders and copies run without Python's lock, hence threads.

    Args:
        samples: the round's images.
        device: of the batches; on a GPU the squares are drawn there.
        threads: that load; with 0 the caller waits for each batch.
    """

    def __init__(self, samples: Samples, device: torch.device, threads: int) -> None:
        self.samples, self.device, self.threads = samples, device, threads
        on_gpu = device.type == "cuda"
        self.raw = on_gpu and not samples.config.train.needs_masks
        self._pool = ThreadPoolExecutor(threads, "loader") if threads else None
        self._stream = torch.cuda.Stream(device) if on_gpu else None  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; batches that nobody will ask for are dropped."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def batches(self, draws: Iterable[list[Draw]]) -> Iterator[Batch]:
        """The batches of a round, in order, on the device; those of the next epoch too are loaded ahead.

        Raises:
            DataError: an image cannot be read.
        """
        loaded = self._ahead(draws) if self._pool else map(self._load, draws)
        return self._on_gpu(loaded) if self._stream else self._here(loaded)

    def _ahead(self, draws: Iterable[list[Draw]]) -> Iterator[RawBatch | Batch]:
        """Loaded batches, of which the threads always have the next few under way."""
        assert self._pool is not None
        waiting: deque[Future[RawBatch | Batch]] = deque()
        try:
            for draw in draws:
                waiting.append(self._pool.submit(self._load, draw))
                if len(waiting) > self.threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _load(self, draws: list[Draw]) -> RawBatch | Batch:
        pin = self.device.type == "cuda"
        if self.raw:
            return RawBatch.pack([self.samples.raw(draw) for draw in draws], draws[0].size, pin=pin)
        images, targets = zip(*(self.samples.square(draw) for draw in draws), strict=True)
        batch = torch.from_numpy(channels_first(images)), torch.from_numpy(np.stack(targets))
        return (batch[0].pin_memory(), batch[1].pin_memory()) if pin else batch

    def _here(self, loaded: Iterable[RawBatch | Batch]) -> Iterator[Batch]:
        for batch in loaded:
            yield batch.drawn() if isinstance(batch, RawBatch) else batch

    def _on_gpu(self, loaded: Iterable[RawBatch | Batch]) -> Iterator[Batch]:
        """Batches that were copied and drawn beside the step before."""
        before: tuple[Batch, torch.cuda.Event] | None = None
        for batch in loaded:
            with torch.cuda.stream(self._stream):
                drawn = self._moved(batch)
                ready = torch.cuda.current_stream().record_event()
            if before:
                yield _awaited(*before)
            before = drawn, ready
        if before:
            yield _awaited(*before)

    def _moved(self, batch: RawBatch | Batch) -> Batch:
        if isinstance(batch, RawBatch):
            return batch.to(self.device).drawn()
        images, targets = (tensor.to(self.device, non_blocking=True) for tensor in batch)
        return images.contiguous(memory_format=torch.channels_last), targets


def _awaited(batch: Batch, ready: torch.cuda.Event) -> Batch:
    """A batch of another stream, for which the current one waits; the host does not."""
    stream = torch.cuda.current_stream()
    stream.wait_event(ready)
    for tensor in batch:
        tensor.record_stream(stream)
    return batch


def channels_first(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images uint8 [S, S, 3] as one array [B, 3, S, S]."""
    return np.stack(images).transpose(0, 3, 1, 2).copy()
