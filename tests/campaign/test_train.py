"""The train stage on several workers, and what it says when training cannot work."""

import dataclasses

import pytest
import torch
from campaigns import open_campaign, tiny_config

from atal_ray.campaign.annotate import annotate
from atal_ray.campaign import prepare
from atal_ray.campaign.campaign_folder import POINTS, START, TRAINING
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.campaign.train import train
from atal_ray.config import RegionConfig
from atal_ray.errors import DataError
from atal_ray.networks.snapshots import read_snapshots


@pytest.fixture
def started(ray_local, synth_folder, tmp_path):
    """A campaign whose random start is labelled."""
    config = tiny_config(synth_folder)
    campaign = open_campaign(tmp_path / "run")
    prepare.prepare(campaign, config)
    query(campaign, config, START)
    annotate(campaign, config, 0)
    return campaign, config


@pytest.mark.slow
def test_two_workers_train_one_network(started):
    campaign, config = started
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, workers=2))
    train(campaign, config, 0)
    first, second = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    weights = [parameter for network in (first, second) for parameter in network.parameters()]
    assert all(torch.isfinite(parameter).all() for parameter in weights)
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    epochs = campaign.round(0).read_json(TRAINING)["epochs"]
    assert [entry["epoch"] for entry in epochs] == [0, 1]
    assert "delta" not in epochs[0]
    assert epochs[1]["delta"] > 0


@pytest.mark.slow
def test_full_masks_are_a_campaign_of_one_round(ray_local, synth_folder, tmp_path):
    config = tiny_config(synth_folder, (synth_folder,), regions=RegionConfig(labels="dense"))
    campaign = run_campaign(config, tmp_path / "run")
    assert campaign.round(0).count_rows(POINTS) == 0
    assert campaign.is_committed(0)
    assert not campaign.root.exists("round-01")
    assert campaign.root.exists("report.html")


@pytest.mark.slow
def test_image_that_vanished_is_named(started, tmp_path):
    campaign, config = started
    manifest = campaign.root.read_table("manifest.parquet")
    rows = manifest.to_pylist()
    rows[0]["image"] = str(tmp_path / "gone.jpg")
    campaign.root.write_table("manifest.parquet", type(manifest).from_pylist(rows, manifest.schema))
    with pytest.raises(DataError, match=r"gone\.jpg"):
        train(campaign, config, 0)
