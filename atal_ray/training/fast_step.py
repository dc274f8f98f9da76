"""The training step in the fastest form that the device has: compiled, and replayed as a CUDA graph."""

import logging
from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from atal_ray.config import TrainConfig
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.training.step import LossOf, StepOf, loss_of, train_step

logger = logging.getLogger(__name__)

MOST_SHAPES = 64  # of one training; PyTorch would go on without the compiler after 8
WARM_UP = 2  # steps of a shape before it is captured: libraries choose their kernels in the first


def build_step(
    model: nn.Module,
    network: SaliencyNetwork,
    optimizer: torch.optim.Optimizer,
    recipe: TrainConfig,
    *,
    world: int = 1,
) -> StepOf:
    """The step of a training: on a CPU the plain one; with `train.compile` compiled; on one GPU graphs.

    Workers that wait for each other within a step are not captured, nor is a module beside the network, which
    may do something else in a later epoch.
    """
    step = partial(train_step, model, network, optimizer, recipe=recipe)
    chosen: StepOf = step
    if recipe.compile:
        chosen = WithFallback(partial(step, loss_of=compiled_loss()), step, "train.compile")
    if next(network.parameters()).is_cuda and world == 1 and network.beside is None:
        chosen = GraphedStep(chosen)
    return chosen


def compiled_loss() -> LossOf:
    """`loss_of` compiled for each shape that it meets; what was compiled for earlier networks goes."""
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    return torch.compile(loss_of, dynamic=False)


class WithFallback:
    """A step that is given up for a plain one, with a warning, when it fails before it has ever worked.

    Args:
        fast: the step to use.
        plain: used from the first failure on.
        name: what the warning calls the fast one.
    """

    def __init__(self, fast: StepOf, plain: StepOf, name: str) -> None:
        self.fast, self.plain, self.name = fast, plain, name
        self.worked = False

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """One step; the loss on the device."""
        if self.fast is self.plain:
            return self.plain(images, targets)
        try:
            loss = self.fast(images, targets)
            self.worked = True
            return loss
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers and their tools fail in almost any way
            if self.worked:
                raise
            logger.warning("%s does not work here, going on without: %s", self.name, _reason(error))
            self.fast = self.plain
            return self.plain(images, targets)


class GraphedStep:
    """A step whose kernels are recorded once for each shape of batch and replayed by one call.

    A step of a network has a thousand small kernels, which a CPU core starts about as fast as the GPU works
    them off. The first steps of a shape run as they are. A step that cannot be recorded, such as one that
    waits for the GPU, runs as it is for good, with a warning.

    Args:
        step: the step; whatever it reads besides its arguments must stay where it is in memory.
        warm_up: steps of a shape before it is recorded.
    """

    def __init__(self, step: StepOf, warm_up: int = WARM_UP) -> None:
        self.step, self.warm_up = step, warm_up
        self.seen: Counter[tuple[object, ...]] = Counter()
        self.recorded: dict[tuple[object, ...], tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}
        self.pool: Any = None
        self.usable = True

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """One step; the loss on the device, valid until the next call."""
        key = (images.shape, images.dtype, targets.dtype)
        if key not in self.recorded and self.usable and self.seen[key] >= self.warm_up:
            self._record(key, images, targets)
        if key not in self.recorded:
            self.seen[key] += 1
            return self.step(images, targets)
        graph, kept_images, kept_targets, loss = self.recorded[key]
        kept_images.copy_(images)
        kept_targets.copy_(targets)
        graph.replay()
        return loss

    def _record(self, key: tuple[object, ...], images: Tensor, targets: Tensor) -> None:
        """Record the step on copies of a batch; nothing is computed."""
        kept_images, kept_targets = images.clone(), targets.clone()
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Other threads load images meanwhile: only what this one does is recorded.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                loss = self.step(kept_images, kept_targets)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # what cannot be recorded fails in many ways
            logger.warning("the step cannot be a CUDA graph, going on without: %s", _reason(error))
            self.usable = False
            torch.cuda.set_stream(stream)  # a recording that fails leaves its own stream behind
            return
        self.pool = self.pool or graph.pool()
        self.recorded[key] = (graph, kept_images, kept_targets, loss)


def _reason(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
