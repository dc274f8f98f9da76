"""Wrong weights are found before anything is started that takes long."""

import dataclasses
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from campaigns import open_campaign, tiny_config

from atal_ray import networks
from atal_ray.campaign import generate as generation
from atal_ray.campaign import prepare as preparation
from atal_ray.campaign.campaign_folder import MANIFEST, TRAINING
from atal_ray.campaign.generate import Generation, generate
from atal_ray.campaign.prepare import prepare
from atal_ray.config import Config, NetworkConfig
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import AtalError, CheckpointError
from atal_ray.evaluation import compare
from atal_ray.studies.sweep import sweep as sweeping
from atal_ray.studies.sweep.plan import Sweep


@contextmanager
def too_late(*_: Any, **__: Any) -> Any:
    pytest.fail("Ray was started before the weights were looked at")
    yield


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "images", count=3, size=(40, 64))


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    """Weights of another network."""
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "wrong.pth")
    return str(tmp_path / "wrong.pth")


def with_weights(config: Config, weights: str) -> Config:
    return dataclasses.replace(config, network=NetworkConfig(name="f3net", weights=weights))


def test_a_campaign_that_goes_on_looks_at_its_weights_again(tmp_path: Path, images: Path, wrong: str) -> None:
    config = tiny_config(images)
    campaign = open_campaign(tmp_path / "run")
    prepare(campaign, config)
    assert campaign.root.exists(MANIFEST)
    with pytest.raises(CheckpointError, match=r"wrong\.pth holds weights of another network"):
        prepare(campaign, with_weights(config, wrong))
    with pytest.raises(CheckpointError, match=r"gone\.pth: no such file"):
        prepare(campaign, with_weights(config, f"{tmp_path}/gone.pth"))
    for number in range(config.rounds):  # what is trained needs no weights
        campaign.round(number).write_json(TRAINING, {})
    prepare(campaign, with_weights(config, wrong))


def test_a_sweep_looks_at_all_weights_before_ray(
    tmp_path: Path, images: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "trials_session", too_late)
    plan = Sweep(over=("seed=0,1",), campaign=with_weights(tiny_config(images, (images,)), wrong))
    with pytest.raises(CheckpointError, match=r"wrong\.pth"):
        sweeping.sweep(plan, tmp_path / "sweep")


def test_a_generation_looks_at_all_snapshots_before_ray(
    finished: tuple[Config, Path], tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = finished
    last = folder / "round-01" / "snapshots" / "2.pt"
    whole = last.read_bytes()
    monkeypatch.setattr(generation, "campaign_session", too_late)
    monkeypatch.setattr(preparation, "campaign_session", too_late)
    plan = dataclasses.replace(Generation.like(folder), images=str(images))
    try:
        last.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(AtalError, match=r"2\.pt cannot be read as a PyTorch state dict"):
            generate(plan, tmp_path / "out")
    finally:
        last.write_bytes(whole)


def test_an_evaluation_looks_at_all_checkpoints_before_ray(
    tmp_path: Path, images: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "session", too_late)
    torch.save(networks.build(NetworkConfig(name="f3net-small")).state_dict(), tmp_path / "right.pth")
    plan = EvaluationConfig(
        masks=(str(images),),
        checkpoint=(str(tmp_path / "right.pth"), wrong),
        network=NetworkConfig(name="f3net-small"),
        size=64,
    )
    with pytest.raises(CheckpointError, match=r"wrong\.pth"):
        compare.evaluate(plan, tmp_path / "out")
