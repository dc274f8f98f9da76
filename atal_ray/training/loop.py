"""Trains one round: L cycles of the learning rate, a snapshot after each, and their delta (Eq. 7)."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atal_ray import seeding
from atal_ray.acquisition.ensemble import homogenisation
from atal_ray.config import Config, TrainConfig
from atal_ray.data.images import resize
from atal_ray.errors import DivergedError
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.training.fast_step import build_step
from atal_ray.training.loader import Batch, Loader
from atal_ray.training.samples import Samples, batches
from atal_ray.training.schedule import batches_per_epoch, learning_rate, snapshot_epochs
from atal_ray.training.step import (
    StepOf,
    build_optimizer,
    load_optimizer_state,
    optimizer_state,
    set_learning_rate,
)

PROBE_IMAGES = 8

Wrap = Callable[[nn.Module], nn.Module]


@dataclass
class TrainState:
    """All that the rest of a round depends on; `torch.save` takes it as plain dictionaries and tensors."""

    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    epochs_done: int
    log: list[dict[str, float]]
    probe: Tensor
    """The last snapshot's saliency maps [P, 1, S, S] of the probe images, for Eq. 7."""


@dataclass(frozen=True)
class WorkerContext:
    """One data-parallel worker of a training: its rank, the number of workers, and its device."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    local_world: int = 1
    """Workers on this machine."""
    loader_threads: int = 0
    """Threads that load its images; with 0 the training waits for each batch."""


def train_round(
    network: SaliencyNetwork,
    samples: Samples,
    config: Config,
    *,
    context: WorkerContext | None = None,
    resume: TrainState | None = None,
    wrap: Wrap = lambda module: module,
    on_snapshot: Callable[[int, TrainState], None],
    on_epoch: Callable[[dict[str, float]], None] = lambda entry: None,
    renew: Callable[[int], SaliencyNetwork] | None = None,
) -> None:
    """Train a network on the labelled images of a round, with the learning rate of Eq. 8 in every iteration.

    At the end of each cycle the log gets delta of Eq. 7: how far the saliency maps of a few images moved
    since the last snapshot.

    Args:
        network: the network.
        samples: the round's images and targets.
        config: the campaign's configuration.
        context: this worker's rank and device; a single worker on the CPU when absent.
        resume: state after an earlier snapshot, to go on from.
        wrap: makes the data-parallel model of the network.
        on_snapshot: called by every worker at the end of each cycle with its number 1..L and the state.
        on_epoch: called with the log entry of each epoch.
        renew: where every cycle trains a network of its own: that of cycle 1, 2, ..., counted from 0.

    Raises:
        ConfigError: fewer iterations than cycles.
        DivergedError: a loss, or a snapshot's saliency map, is not finite.
    """
    context, plan = context or WorkerContext(), config.train
    trainee = Trainee(network, plan, context, wrap)
    log: list[dict[str, float]] = []
    probe, first = torch.empty(0), 0
    if resume is not None:
        log, probe, first = list(resume.log), resume.probe, resume.epochs_done
        if renew is None:
            trainee.load(resume)
    ends = snapshot_epochs(plan.epochs, plan.cycles)
    count = batches_per_epoch(len(samples), plan.batch_size, plan.drop_last)
    draws = (
        draw
        for epoch in range(first, plan.epochs)
        for draw in batches(len(samples), config, samples.round_number, epoch, context.rank, context.world)
    )
    with Loader(samples, context.device, context.loader_threads) as loader:
        loaded = loader.batches(draws)
        for epoch in range(first, plan.epochs):
            if renew is not None and epoch - 1 in ends:
                trainee = Trainee(renew(ends.index(epoch - 1) + 1), plan, context, wrap)
            key = (config.seed, "epoch", samples.round_number, epoch, context.rank)
            torch.manual_seed(seeding.derive(*key) % 2**63)  # of dropout, also in a training that goes on
            span = plan.epochs if renew is None else plan.epochs // plan.cycles
            trainee.begin_epoch(epoch % span / span)
            log.append(
                train_epoch(trainee.step, trainee.optimizer, loaded, count, plan, epoch, context.device)
            )
            if epoch in ends:
                maps = probe_maps(trainee.network, samples, plan.size, context.device)
                if not torch.isfinite(maps).all():  # the last step alone cannot be seen by its loss
                    raise diverged(plan, epoch, "the saliency maps of the snapshot are")
                if len(probe) and renew is None:  # networks that were trained apart have no trajectory
                    log[-1]["delta"] = homogenisation(probe, maps)
                probe = maps
                on_snapshot(ends.index(epoch) + 1, trainee.state(epoch + 1, log, probe))
            on_epoch(log[-1])


class Trainee:
    """A network in training: its optimiser, and the step that trains it.

    Args:
        network: is put on the worker's device.
        recipe: of the training.
        context: of the worker.
        wrap: makes the data-parallel model of the network.
    """

    def __init__(
        self, network: SaliencyNetwork, recipe: TrainConfig, context: WorkerContext, wrap: Wrap
    ) -> None:
        self.network = network.to(context.device)
        if context.device.type == "cuda":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(network, recipe)
        self.model = wrap(network)
        self.step = build_step(self.model, network, self.optimizer, recipe, world=context.world)

    def load(self, state: TrainState) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state.network)
        load_optimizer_state(self.optimizer, state.optimizer)

    def begin_epoch(self, done: float) -> None:
        """Put everything into training mode; `done` is the share of the network's epochs that are done."""
        self.model.train()
        if self.network.beside is not None:
            self.network.beside.begin_epoch(done)

    def state(self, epochs_done: int, log: list[dict[str, float]], probe: Tensor) -> TrainState:
        """What the rest of the round depends on."""
        return TrainState(weights_of(self.network), optimizer_state(self.optimizer), epochs_done, log, probe)


def train_epoch(
    step: StepOf,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    count: int,
    recipe: TrainConfig,
    epoch: int,
    device: torch.device,
) -> dict[str, float]:
    """One pass over the images; waits for the device once, for the losses.

    Args:
        step: takes a batch.
        optimizer: of the step; gets the learning rate of each iteration.
        batches: the next `count` of them are the epoch's.
        count: batches in an epoch.
        recipe: the schedule.
        epoch: from 0.
        device: of the losses.

    Returns:
        The entry of the log: epoch, mean loss of this worker's batches, first and last learning rate.

    Raises:
        DivergedError: a loss is not finite.
    """
    rates, kept = [], torch.empty(count, device=device)
    for number, (images, targets) in enumerate(islice(batches, count)):
        iteration = epoch * count + number + 1
        rate = learning_rate(
            recipe.schedule, iteration, count, recipe.epochs, recipe.cycles, recipe.lr_max, recipe.lr_min
        )
        set_learning_rate(optimizer, rate)
        rates.append(rate)
        kept[number] = step(images, targets)
    losses: list[float] = kept.tolist()
    for number, loss in enumerate(losses, 1):
        if not math.isfinite(loss):
            raise diverged(recipe, epoch, f"the loss of step {number} of {count} is")
    return {"epoch": epoch, "loss": sum(losses) / count, "lr_first": rates[0], "lr_last": rates[-1]}


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network, laid out plainly whatever its memory format."""
    weights: dict[str, Tensor] = network.state_dict()
    for name, value in weights.items():
        weights[name] = value.contiguous()
    return weights


def diverged(recipe: TrainConfig, epoch: int, what: str) -> DivergedError:
    """The error of a training that has left the finite numbers, with what to change."""
    return DivergedError(
        f"the training diverged: in epoch {epoch + 1} of {recipe.epochs} {what} not a finite number; "
        f"start another campaign with a lower train.lr-max than {recipe.lr_max:g}"
    )


@torch.no_grad()
def probe_maps(network: SaliencyNetwork, samples: Samples, size: int, device: torch.device) -> Tensor:
    """Saliency maps [P, 1, S, S] of the first images, whole and without augmentation.

    The network is left in evaluation mode.
    """
    network.eval()
    images = [resize(samples.image(index), size) for index in range(min(PROBE_IMAGES, len(samples)))]
    return network.saliency(to_batch(np.stack(images), device))[0].cpu()
