"""Work on a GPU whose kernels are recorded once for each shape of its tensors and replayed by one call."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from atal_ray.errors import short_reason

logger = logging.getLogger(__name__)

WARM_UP = 2  # calls of a shape before it is recorded: libraries choose their kernels in the first

Result = TypeVar("Result")


class Graphed(Generic[Result]):
    """A function of tensors as CUDA graphs, one for each shape that it meets.

    A pass through a network has hundreds of small kernels, which a CPU core starts about as fast as the GPU
    works them off. The first calls of a shape run as they are. What cannot be recorded, such as a function
    that waits for the GPU, or a shape for which a graph's own memory is not there, runs as it is, with a
    warning, as do all shapes that come later.

    Args:
        function: of tensors; whatever else it reads must stay where it is in memory.
        name: what the warning calls it.
        warm_up: calls of a shape before it is recorded.
        repeatable: whether a call that found no memory may be made again: it changes nothing but its result.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        name: str,
        warm_up: int = WARM_UP,
        *,
        repeatable: bool = False,
    ) -> None:
        self.function, self.name, self.warm_up = function, name, warm_up
        self.repeatable = repeatable
        self.seen: Counter[tuple[object, ...]] = Counter()
        self.recorded: dict[tuple[object, ...], tuple[torch.cuda.CUDAGraph, list[Tensor], Result]] = {}
        self.pool: Any = None
        self.usable = True

    def __call__(self, *tensors: Tensor) -> Result:
        """The function's result, whose tensors are valid until the next call."""
        key = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        if key not in self.recorded and self.usable and self.seen[key] >= self.warm_up:
            self._record(key, tensors)
        if key not in self.recorded:
            self.seen[key] += 1
            return self._as_it_is(*tensors)
        graph, kept, result = self.recorded[key]
        for mine, given in zip(kept, tensors, strict=True):
            mine.copy_(given)
        graph.replay()
        return result

    def _as_it_is(self, *tensors: Tensor) -> Result:
        """Call the function; where the memory that graphs of other shapes hold is missing, without them."""
        try:
            return self.function(*tensors)
        except torch.OutOfMemoryError:
            if not (self.recorded and self.repeatable):
                raise
        logger.warning("%s is no longer a CUDA graph: another shape of batch needs its memory", self.name)
        self.recorded.clear()
        self.pool, self.usable = None, False
        torch.cuda.empty_cache()
        return self.function(*tensors)

    def _record(self, key: tuple[object, ...], tensors: tuple[Tensor, ...]) -> None:
        """Record the function on copies of tensors; nothing is computed."""
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            kept = [tensor.clone() for tensor in tensors]
            # Other threads load images meanwhile: only what this one does is recorded.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                result = self.function(*kept)
        except Exception as error:  # what cannot be recorded fails in many ways
            logger.warning("%s cannot be a CUDA graph, going on without: %s", self.name, short_reason(error))
            self.usable = False
            torch.cuda.set_stream(stream)  # a recording that fails leaves its own stream behind
            return
        self.pool = self.pool or graph.pool()
        self.recorded[key] = (graph, kept, result)
