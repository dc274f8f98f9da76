from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from atal_ray.campaign.campaign_folder import COMMITTED, METRICS, POINTS, QUERIES, TRAINING, CampaignFolder
from atal_ray.config import Config, DataConfig, RegionConfig, ResourceConfig
from atal_ray.errors import CampaignError
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.store.folder import Folder


def points(*ids: str, round_number: int = 0) -> pa.Table:
    row: dict[str, Any] = {
        "x": 1,
        "y": 2,
        "label": 1,
        "round": round_number,
        "order": 0,
        "score": 0.5,
        "superpixel": 3,
        "source": "seed",
    }
    return pa.Table.from_pylist([{"image_id": image_id, **row} for image_id in ids], POINT_SCHEMA)


@pytest.fixture
def campaign(tmp_path: Path) -> CampaignFolder:
    """Three rounds with points; round 0 is complete, round 2 has points alone."""
    made = CampaignFolder(Folder(str(tmp_path)))
    for number in range(3):
        made.round(number).write_table(POINTS, points("a", "b", "c", round_number=number))
    for name in (TRAINING, METRICS):
        made.round(0).write_json(name, {"of": name})
    made.round(0).write_table(QUERIES, points("a"))
    return made


def test_layout(campaign: CampaignFolder, tmp_path: Path) -> None:
    assert campaign.round(0).uri == f"{tmp_path}/round-00"
    assert campaign.snapshots(12).uri == f"{tmp_path}/round-12/snapshots"
    assert campaign.superpixels(Config()).folder.uri == f"{tmp_path}/superpixels"
    assert campaign.test_sets() == []
    for name in ("ECSSD", "DUTS-TE"):
        (campaign.root / "tests").write_table(f"{name}.parquet", points())
    assert campaign.test_sets() == ["DUTS-TE", "ECSSD"]


def test_points_of_the_rounds_so_far(campaign: CampaignFolder) -> None:
    assert campaign.points(-1) == POINT_SCHEMA.empty_table()
    assert campaign.points(1)["round"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert campaign.points(2).num_rows == 9


def test_points_of_some_images(campaign: CampaignFolder) -> None:
    assert campaign.points(1, "b", "c")["image_id"].to_pylist() == ["b", "c", "b", "c"]
    assert campaign.points(1, "bb", "bz").num_rows == 0


def test_a_round_is_committed_when_it_says_so(campaign: CampaignFolder) -> None:
    assert not campaign.is_committed(0)
    campaign.commit(0)
    assert campaign.is_committed(0)
    assert not campaign.is_committed(1)
    assert set(campaign.round(0).read_json(COMMITTED)) == {POINTS, TRAINING, METRICS, QUERIES}


@pytest.mark.parametrize("name", [POINTS, TRAINING, METRICS, QUERIES])
def test_a_file_changed_or_lost_after_the_commit_is_refused_by_name(
    campaign: CampaignFolder, tmp_path: Path, name: str
) -> None:
    campaign.commit(0)
    path = tmp_path / "round-00" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(
        CampaignError, match=f"round-00/{name} was changed or lost after the round was committed"
    ):
        campaign.is_committed(0)
    path.unlink()
    with pytest.raises(CampaignError, match=f"round-00/{name} was changed or lost"):
        campaign.is_committed(0)
    path.write_bytes(whole)
    assert campaign.is_committed(0)


def test_files_beside_the_tables_may_change(campaign: CampaignFolder) -> None:
    campaign.commit(0)
    campaign.snapshots(0).write_bytes("1.pt", b"weights")
    campaign.round(0).write_bytes("notes.txt", b"mine")
    assert campaign.is_committed(0)


def test_shared_superpixels_are_those_of_equal_images_and_settings(campaign: CampaignFolder) -> None:
    """Whatever the images are called and wherever they lie: the maps are named by their digests."""

    def folder(**changes: Any) -> str:
        return campaign.superpixels(
            Config(resources=ResourceConfig(superpixels="/shared"), **changes)
        ).folder.uri

    assert Path(folder()).parent == Path("/shared")
    assert folder() == folder(seed=4) == folder(regions=RegionConfig(labels="oracle_mask"))
    assert folder() == folder(data=DataConfig(train="/other"))
    assert folder() != folder(regions=RegionConfig(superpixels=500))
    assert campaign.superpixels(Config(resources=ResourceConfig(superpixels="/shared"))).by_digest
    assert not campaign.superpixels(Config()).by_digest
