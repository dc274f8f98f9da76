"""The train stage on several workers, and what it says when training cannot work."""

import dataclasses
import re

import pytest
import torch
from campaigns import on_ray, open_campaign, tiny_config
from torch.utils.data import default_collate

from atal_ray.campaign import prepare
from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, START, TRAINING
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.campaign.train import _first_network as first_network
from atal_ray.campaign.train import train
from atal_ray.config import RegionConfig
from atal_ray.errors import DataError
from atal_ray.labels.points import PointIndex
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.training.losses import point_loss
from atal_ray.training.samples import Samples, batches
from atal_ray.training.schedule import learning_rate, snapshot_epochs
from atal_ray.training.step import build_optimizer, set_learning_rate

BATCH_NORM_STATISTICS = re.compile(r"running_|num_batches")


@pytest.fixture
def started(synth_folder, tmp_path):
    """A campaign whose random start is labelled."""
    config = tiny_config(synth_folder)
    campaign = open_campaign(tmp_path / "run")
    prepare.prepare(campaign, config)
    query(campaign, config, START)
    annotate(campaign, config, 0)
    return campaign, config


def train_two_by_hand(campaign, config):
    """The snapshots of two workers without Ray and without PyTorch's data parallelism: each has half of a
    batch, and both step with the gradient of the mean loss over the labelled pixels of the whole batch.
    """
    plan, points = config.train, PointIndex(campaign.points(0))
    manifest, folder = campaign.root.read_table(MANIFEST), campaign.training_data(config)
    samples = Samples(manifest, points, campaign.superpixels(config), folder, config, 0)
    replicas = [first_network(campaign, config, 0).train() for _ in range(2)]
    optimizers = [build_optimizer(network, plan) for network in replicas]
    snapshots = []
    for epoch in range(plan.epochs):
        halves = [list(batches(len(samples), config, 0, epoch, rank, 2)) for rank in (0, 1)]
        for number, draws in enumerate(zip(*halves, strict=True)):
            parts = [default_collate([samples[draw] for draw in half]) for half in draws]
            labelled = [int((targets != 255).sum()) for _, targets in parts]
            steps = epoch * len(halves[0]) + number + 1, len(halves[0]), plan.epochs, plan.cycles
            rate = learning_rate(plan.schedule, *steps, plan.lr_max, plan.lr_min)
            for network, (images, targets), own in zip(replicas, parts, labelled, strict=True):
                heads = network(network.normalise(images / 255)).logits
                loss = point_loss(heads, targets, network.loss_weights) * own / sum(labelled)
                network.zero_grad()
                loss.backward()
            for a, b in zip(*(network.parameters() for network in replicas), strict=True):
                if a.grad is not None:
                    a.grad = b.grad = a.grad + b.grad
            for optimizer in optimizers:
                set_learning_rate(optimizer, rate)
                optimizer.step()
        if epoch in snapshot_epochs(plan.epochs, plan.cycles):
            snapshots.append({name: value.clone() for name, value in replicas[0].state_dict().items()})
    return snapshots


def parameters(state):
    """All weights and biases as one vector."""
    kept = (value for name, value in state.items() if not BATCH_NORM_STATISTICS.search(name))
    return torch.cat([value.flatten() for value in kept])


@pytest.mark.slow
def test_two_workers_train_one_network(ray_local, started):
    campaign, config = started
    config = on_ray(config)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, workers=2))
    train(campaign, config, 0)
    before = parameters(first_network(campaign, config, 0).state_dict())
    networks = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    # Rounding grows with every step. A loss without `labelled_share`, or without the number of workers in it,
    # ends at 0.28 and 0.51 of the way in the first snapshot, and at 0.38 and 0.52 in the second.
    by_hand = train_two_by_hand(campaign, config)
    for network, expected, most in zip(networks, by_hand, (0.1, 0.2), strict=True):
        way = parameters(expected) - before
        assert float((parameters(network.state_dict()) - before - way).norm() / way.norm()) < most
    epochs = campaign.round(0).read_json(TRAINING)["epochs"]
    assert [entry["epoch"] for entry in epochs] == [0, 1]
    assert "delta" not in epochs[0]
    assert epochs[1]["delta"] > 0


def test_full_masks_are_a_campaign_of_one_round(synth_folder, tmp_path):
    config = tiny_config(synth_folder, (synth_folder,), regions=RegionConfig(labels="dense"))
    campaign = run_campaign(config, tmp_path / "run")
    assert campaign.round(0).count_rows(POINTS) == 0
    assert campaign.is_committed(0)
    assert not campaign.root.exists("round-01")
    assert campaign.root.exists("report.html")


def test_image_that_vanished_is_named(started):
    campaign, config = started
    manifest = campaign.root.read_table("manifest.parquet")
    rows = manifest.to_pylist()
    rows[0]["image"] = "gone.jpg"
    campaign.root.write_table("manifest.parquet", type(manifest).from_pylist(rows, manifest.schema))
    with pytest.raises(DataError, match=r"gone\.jpg"):
        train(campaign, config, 0)
