"""The training step in the fastest form that the device has: compiled, and replayed as a CUDA graph."""

import logging
from functools import partial

import torch
from torch import Tensor, nn

from atal_ray.config import TrainConfig
from atal_ray.errors import short_reason
from atal_ray.networks.graphed import Graphed
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.training.step import LossOf, StepOf, loss_of, train_step

logger = logging.getLogger(__name__)

MOST_SHAPES = 64  # of one training; PyTorch would go on without the compiler after 8


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
        chosen = Graphed(chosen, "the step")
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
            logger.warning("%s does not work here, going on without: %s", self.name, short_reason(error))
            self.fast = self.plain
            return self.plain(images, targets)
