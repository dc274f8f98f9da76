"""Campaigns that grow, move and fork, from the command line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_campaigns import plain_snapshots, points, toy_config

from atal_ray.campaign.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.cli import dispatch
from atal_ray.config import BudgetConfig, Config, config_file
from atal_ray.data.manifest import build_manifest
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.sharing import share_start


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A finished campaign without test sets in a folder whose name holds a space."""
    train = write_dataset(tmp_path / "train", count=3, size=(64, 96))
    with plain_snapshots():
        monkeypatch.chdir(tmp_path)
        run_campaign(toy_config(train), tmp_path / "my run")
        yield tmp_path / "my run"


def opened(folder: Path) -> tuple[CampaignFolder, Config]:
    campaign = CampaignFolder(Folder(str(folder)))
    return campaign, config_file.of_campaign(campaign.root)


def test_resume_takes_a_larger_budget_and_other_points_a_round(folder: Path) -> None:
    assert dispatch(["resume", str(folder), "--budget.per-round", "3", "--budget.total", "7"]) == 0
    campaign, config = opened(folder)
    assert config.budget == BudgetConfig(start=2, per_round=3, total=7, earlier=(2,))
    assert [len(rows) for rows in points(campaign, 3)] == [6, 6, 9]
    assert dispatch(["resume", str(folder)]) == 0
    with pytest.raises(ConfigError, match=r"budget\.total 4 is below 7"):
        dispatch(["resume", str(folder), "--budget.total", "4"])


def test_the_way_on_for_moved_data_works(folder: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "train", tmp_path / "elsewhere")
    report = (folder / "report.html").read_bytes()
    with pytest.raises(DataError, match=r"`atal resume '.*/my run' --data\.train NEW_PLACE`"):
        dispatch(["resume", str(folder)])
    assert (folder / "report.html").read_bytes() == report
    assert dispatch(["resume", str(folder), "--data.train", "elsewhere"]) == 0
    assert opened(folder)[1].data.train == str(tmp_path / "elsewhere")


def test_the_way_on_for_other_settings_works(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"`atal fork '.*/my run' NEW --train\.lr-max 0\.01`"):
        dispatch(["resume", str(folder), "--train.lr-max", "0.01"])
    assert dispatch(["fork", str(folder), "NEW", "--train.lr-max", "0.01"]) == 0
    campaign, config = opened(tmp_path / "NEW")
    assert config.train.lr_max == 0.01
    assert config.budget == BudgetConfig(start=4, per_round=2, total=4)
    assert campaign.is_complete(config)
    assert dispatch(["resume", "NEW", "--budget.total", "6"]) == 0
    assert campaign.committed_rounds() == 2


def test_a_moved_campaign_finds_the_images_that_it_made(tmp_path: Path) -> None:
    source, made = (CampaignFolder(Folder(str(tmp_path / name))) for name in ("first", "second"))
    write_dataset(tmp_path / "first/data/train", count=2, size=(64, 96))
    write_dataset(tmp_path / "first/data/test", count=1, seed=1, size=(64, 96))
    source.root.write_table(MANIFEST, build_manifest(tmp_path / "first/data/train").table)
    (source.root / "tests").write_table("test.parquet", build_manifest(tmp_path / "first/data/test").table)
    share_start(source, made, Config())
    shutil.move(tmp_path / "second", tmp_path / "moved")
    shutil.rmtree(tmp_path / "first")
    moved = CampaignFolder(Folder(str(tmp_path / "moved")))
    ((first, _),) = moved.images(Config())
    assert first.read_image().shape == (first.height, first.width, 3)
    assert first.read_mask().shape == (first.height, first.width)
    assert moved.test_data(Config(), "test").uri == f"{tmp_path}/moved/data/test"
