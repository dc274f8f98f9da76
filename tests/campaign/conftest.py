import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaigns import open_campaign
from plain_campaigns import plain_snapshots, toy_config, with_data
from plain_reports import plain_reports

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.data.synthetic.dataset import write_dataset


@pytest.fixture(scope="module", autouse=True)
def quick_reports() -> Iterator[None]:
    """Reports without charts."""
    with plain_reports():
        yield


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A finished campaign of the toy network, two rounds on five images, to be copied."""
    folder = tmp_path_factory.mktemp("toy")
    train = write_dataset(folder / "train", count=5, size=(64, 96))
    config = toy_config(train, (write_dataset(folder / "test", count=3, seed=1, size=(64, 96)),))
    with plain_snapshots():
        run_campaign(config, folder / "run")
    return config, folder


@pytest.fixture
def copied(toy: tuple[Config, Path], tmp_path: Path) -> Iterator[tuple[Config, CampaignFolder]]:
    """A finished campaign and its images, in the folders run, train and test of this test."""
    config, folder = toy
    for name in ("run", "train", "test"):
        shutil.copytree(folder / name, tmp_path / name)
    campaign = open_campaign(tmp_path / "run")
    config = with_data(config, train=str(tmp_path / "train"), tests=(str(tmp_path / "test"),))
    for name in (CONFIG, f"{CONFIG}{config_file.KEPT}"):
        campaign.root.write_bytes(name, config_file.to_yaml(config).encode())
    with plain_snapshots():
        yield config, campaign
