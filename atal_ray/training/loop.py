"""Trains one round: L cycles of the learning rate, a snapshot after each, and their delta (Eq. 7)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from atal_ray.acquisition.ensemble import homogenisation
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.errors import DivergedError
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.training.samples import Samples, batches
from atal_ray.training.schedule import batches_per_epoch, learning_rate, snapshot_epochs
from atal_ray.training.step import build_optimizer, set_learning_rate, train_step

PROBE_IMAGES = 8


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


def train_round(
    network: SaliencyNetwork,
    samples: Samples,
    config: Config,
    *,
    context: WorkerContext | None = None,
    resume: TrainState | None = None,
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    on_snapshot: Callable[[int, TrainState], None],
    on_epoch: Callable[[dict[str, float]], None] = lambda entry: None,
) -> None:
    """Train a network on the labelled images of a round, with the learning rate of Eq. 8 in every iteration.

    At the end of each cycle the log gets delta of Eq. 7: how far the saliency maps of a few images moved
    since the last snapshot.

    Args:
        network: the network, on the worker's device.
        samples: the round's images and targets.
        config: the campaign's configuration.
        context: this worker's rank and device; a single worker on the CPU when absent.
        resume: state after an earlier snapshot, to go on from.
        wrap: makes the data-parallel model of the network.
        on_snapshot: called by every worker at the end of each cycle with its number 1..L and the state.
        on_epoch: called with the log entry of each epoch.

    Raises:
        ConfigError: fewer iterations than cycles.
        DivergedError: a loss, or a snapshot's saliency map, is not finite.
    """
    context, plan = context or WorkerContext(), config.train
    optimizer = build_optimizer(network, plan)
    log: list[dict[str, float]] = []
    probe, first = torch.empty(0), 0
    if resume is not None:
        network.load_state_dict(resume.network)
        optimizer.load_state_dict(resume.optimizer)
        log, probe, first = list(resume.log), resume.probe, resume.epochs_done
    model = wrap(network)
    ends = snapshot_epochs(plan.epochs, plan.cycles)
    for epoch in range(first, plan.epochs):
        log.append(train_epoch(model, network, optimizer, samples, config, epoch, context))
        if epoch in ends:
            maps = probe_maps(network, samples, plan.size, context.device)
            if not torch.isfinite(maps).all():  # the last step alone cannot be seen by its loss
                raise diverged(config, epoch, "the saliency maps of the snapshot are")
            if len(probe):
                log[-1]["delta"] = homogenisation(probe, maps)
            probe = maps
            state = TrainState(network.state_dict(), optimizer.state_dict(), epoch + 1, log, probe)
            on_snapshot(ends.index(epoch) + 1, state)
        on_epoch(log[-1])


def train_epoch(
    model: nn.Module,
    network: SaliencyNetwork,
    optimizer: torch.optim.Optimizer,
    samples: Samples,
    config: Config,
    epoch: int,
    context: WorkerContext,
) -> dict[str, float]:
    """One pass over the images.

    Returns:
        The entry of the log: epoch, mean loss of this worker's batches, first and last learning rate.
    """
    plan = config.train
    steps = batches_per_epoch(len(samples), plan.batch_size, plan.drop_last)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        samples,
        batch_sampler=batches(len(samples), config, samples.round_number, epoch, context.rank, context.world),
        num_workers=config.resources.loader_workers,
        pin_memory=context.device.type == "cuda",
    )
    model.train()
    rates, losses = [], []
    for number, (images, targets) in enumerate(loader):
        iteration = epoch * steps + number + 1
        rate = learning_rate(
            plan.schedule, iteration, steps, plan.epochs, plan.cycles, plan.lr_max, plan.lr_min
        )
        set_learning_rate(optimizer, rate)
        rates.append(rate)
        images = images.to(context.device, non_blocking=True)
        targets = targets.to(context.device, non_blocking=True)
        losses.append(train_step(model, network, optimizer, images, targets, plan))
        if not math.isfinite(losses[-1]):
            raise diverged(config, epoch, f"the loss of step {number + 1} of {steps} is")
    return {"epoch": epoch, "loss": sum(losses) / len(losses), "lr_first": rates[0], "lr_last": rates[-1]}


def diverged(config: Config, epoch: int, what: str) -> DivergedError:
    """The error of a training that has left the finite numbers, with what to change."""
    return DivergedError(
        f"the training diverged: in epoch {epoch + 1} of {config.train.epochs} {what} not a finite number; "
        f"start another campaign with a lower train.lr-max than {config.train.lr_max:g}"
    )


@torch.no_grad()
def probe_maps(network: SaliencyNetwork, samples: Samples, size: int, device: torch.device) -> Tensor:
    """Saliency maps [P, 1, S, S] of the first images, whole and without augmentation.

    The network is left in evaluation mode.
    """
    network.eval()
    paths = [samples.record(index).image for index in range(min(PROBE_IMAGES, len(samples)))]
    images = [resize(read_image(path), size) for path in paths]
    return network.saliency(to_batch(np.stack(images), device))[0].cpu()
