"""Data-parallel workers take the steps of one: the same losses, gradients synchronised once a step."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.functional import interpolate
from torch.nn.parallel import DistributedDataParallel

from atal_ray.config import Config, TrainConfig
from atal_ray.networks import SaliencyNetwork, SaliencyOutput
from atal_ray.training.fast_step import build_step
from atal_ray.training.loader import Loader
from atal_ray.training.samples import Samples, batches
from atal_ray.training.step import build_optimizer

STEPS = 20
CONFIG = Config(train=TrainConfig(size=64, scales=(64, 96), epochs=10, cycles=1, batch_size=4))


class WithoutBatchNorm(SaliencyNetwork):
    """Batch norms see the images of their own worker alone, so only a network without them can be equal."""

    loss_weights = (1.0, 0.5)
    prediction = 0
    feature_channels = 8
    mean = std = (0.5, 0.5, 0.5)
    multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.GroupNorm(2, 8), nn.ReLU())
        self.head, self.second = (nn.Conv2d(8, 1, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> SaliencyOutput:
        self.check_sides(x)
        features = self.body(x)
        heads = (interpolate(head(features), x.shape[-2:]) for head in (self.head, self.second))
        return SaliencyOutput(tuple(heads), features)


def losses_of(samples: Samples, rank: int, world: int, wrap: Callable[[nn.Module], nn.Module]) -> list[float]:
    """One worker's losses, each for a step."""
    torch.manual_seed(0)
    network = WithoutBatchNorm().train()
    optimizer = build_optimizer(network, CONFIG.train)
    step = build_step(wrap(network), network, optimizer, CONFIG.train, world=world)
    losses: list[float] = []
    with Loader(samples, torch.device("cpu"), 1) as loader:
        for epoch in range(CONFIG.train.epochs):
            draws = batches(len(samples), CONFIG, 0, epoch, rank, world)
            losses += [float(step(images, targets)) for images, targets in loader.batches(draws)]
    return losses[:STEPS]


def work(rank: int, world: int, samples: Samples, store: Path, results: Any) -> None:
    """One process of a data-parallel training."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    calls = []

    def counted(group, bucket):  # PyTorch looks at annotations
        calls.append(bucket.index())
        return allreduce_hook(group, bucket)

    def wrap(network: nn.Module) -> nn.Module:
        model = DistributedDataParallel(network)
        model.register_comm_hook(None, counted)
        return model

    results.put((rank, losses_of(samples, rank, world, wrap), len(calls)))
    distributed.destroy_process_group()


@pytest.mark.parametrize("world", [2, 4])
def test_the_losses_of_several_workers_are_those_of_one(make_samples, tmp_path, world):
    samples = make_samples(CONFIG)
    alone = losses_of(samples, 0, 1, lambda network: network)
    context = multiprocessing.get_context("fork")  # which takes the samples along
    results = context.Queue()
    workers = [
        context.Process(target=work, args=(rank, world, samples, tmp_path / "store", results))
        for rank in range(world)
    ]
    for worker in workers:
        worker.start()
    found = {rank: (losses, calls) for rank, losses, calls in (results.get(timeout=300) for _ in workers)}
    for worker in workers:
        worker.join()
    assert len(alone) == STEPS
    together = torch.tensor([found[rank][0] for rank in range(world)], dtype=torch.float64).mean(0)
    torch.testing.assert_close(together, torch.tensor(alone, dtype=torch.float64), atol=1e-5, rtol=0)
    assert alone[-1] < alone[0]
    assert [found[rank][1] for rank in range(world)] == [STEPS] * world
