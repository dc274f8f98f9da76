"""A manifest that is made in shards is the one that is made at once, and an interrupted one goes on."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import on_ray, open_campaign, tiny_config

from atal_ray.annotation import oracle
from atal_ray.campaign import checked_images, prepare
from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import ERRORS, MANIFEST, POINTS, START, CampaignFolder
from atal_ray.campaign.checked_images import CheckShard, check_images, is_large
from atal_ray.campaign.query.ask import query
from atal_ray.config import Config
from atal_ray.data.manifest import build_manifest
from atal_ray.errors import CampaignError, DataError
from atal_ray.runtime import shards
from atal_ray.store.location import Location


@pytest.fixture
def images(synth_folder: Path, tmp_path: Path) -> Path:
    """Images with masks, one image cut short and another one without a mask."""
    folder = Path(shutil.copytree(synth_folder, tmp_path / "images"))
    first, second = sorted((folder / "images").iterdir())[2:4]
    first.write_bytes(first.read_bytes()[:100])
    (folder / "masks" / f"{second.stem}.png").unlink()
    return folder


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CampaignFolder:
    """A new one, whose images are read in shards of three."""
    monkeypatch.setattr(checked_images, "FILES_SHARD", 3)
    return open_campaign(tmp_path / "run")


def skipping(config: Config) -> Config:
    return dataclasses.replace(config, data=dataclasses.replace(config.data, on_bad_file="skip"))


@pytest.mark.parametrize("limit", [None, 5])
def test_rows_and_bad_files_are_those_of_the_manifest(
    campaign: CampaignFolder, images: Path, limit: int | None
) -> None:
    whole = build_manifest(images, limit=limit, on_bad_file="skip")
    found = check_images(
        Location.at(images), campaign.root / "work", skipping(tiny_config(images)), limit=limit
    )
    found.write(campaign.root, MANIFEST)
    assert campaign.root.read_table(MANIFEST).equals(whole.table)
    assert found.usable == whole.table.num_rows
    assert found.bad.to_pylist() == [vars(file) for file in whole.bad]
    assert found.without_mask == (0, "")


def test_bad_files_are_refused_in_the_same_words(campaign: CampaignFolder, images: Path) -> None:
    sentences = []
    for refused in (
        lambda: build_manifest(images),
        lambda: check_images(
            Location.at(images),
            campaign.root / "work",
            tiny_config(images),
            skip="--data.on-bad-file skip",
        ),
    ):
        with pytest.raises(DataError) as refusal:
            refused()
        sentences.append(str(refusal.value))
    assert sentences[0] == sentences[1]
    assert "2 bad files" in sentences[0]


def stops_at(shard: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Reading ends before a shard; the shards that were read."""
    read: list[int] = []
    call = CheckShard.__call__

    def until(self: CheckShard, row: dict[str, int]) -> dict[str, int]:
        if row["shard"] == shard:
            raise CampaignError("interrupted")
        read.append(row["shard"])
        return call(self, row)

    monkeypatch.setattr(CheckShard, "__call__", until)
    return lambda: read


def test_an_interrupted_preparation_goes_on(
    campaign: CampaignFolder, synth_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(synth_folder)
    with monkeypatch.context() as patch:
        read = stops_at(2, patch)
        with pytest.raises(CampaignError, match="interrupted"):
            prepare.prepare(campaign, config)
        assert read() == [0, 1]
    read = stops_at(-1, monkeypatch)
    prepare.prepare(campaign, config)
    assert read() == [2]
    assert campaign.root.read_table(MANIFEST).equals(build_manifest(synth_folder).table)
    assert campaign.root.names() == [MANIFEST]


def test_what_was_added_meanwhile_is_seen(
    campaign: CampaignFolder, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = skipping(tiny_config(images))
    with monkeypatch.context() as patch:
        stops_at(2, patch)
        with pytest.raises(CampaignError, match="interrupted"):
            prepare.prepare(campaign, config)
    for place, suffix in (("images", "jpg"), ("masks", "png")):
        files = sorted((images / place).glob(f"*.{suffix}"))
        shutil.copyfile(files[0], files[0].with_stem("added"))
    prepare.prepare(campaign, config)
    assert "added" in campaign.root.read_table(MANIFEST)["image_id"].to_pylist()
    assert campaign.root.read_table(ERRORS)["stage"].to_pylist() == ["prepare", "prepare"]


def test_a_repaired_file_is_read_again(campaign: CampaignFolder, synth_folder: Path, images: Path) -> None:
    config = tiny_config(images)
    with pytest.raises(DataError, match="2 bad files"):
        prepare.prepare(campaign, config)
    shutil.copytree(synth_folder, images, dirs_exist_ok=True)
    prepare.prepare(campaign, config)
    assert campaign.root.read_table(MANIFEST).equals(build_manifest(synth_folder).table)


def test_a_folder_is_large_with_more_files_than_a_shard(campaign: CampaignFolder, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    (folder / "images").mkdir(parents=True)
    for number in range(3):
        (folder / "images" / f"{number}.jpg").touch()
    assert not is_large(Location.at(folder))
    (folder / "3.jpg").touch()
    assert is_large(Location.at(folder))
    assert not is_large(Location.at(tmp_path / "nothing"))


@pytest.mark.slow
def test_workers_on_ray_find_the_same(
    ray_local: None, campaign: CampaignFolder, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are listed and read, and masks read for the oracle, by actors."""
    for module in (shards, oracle):
        monkeypatch.setattr(module, "FILES_SHARD", 3)
    config = on_ray(skipping(tiny_config(images)))
    prepare.prepare(campaign, config)
    whole = build_manifest(images, on_bad_file="skip")
    assert campaign.root.read_table(MANIFEST).equals(whole.table)
    assert campaign.root.read_table(ERRORS)["image_id"].to_pylist() == [file.image_id for file in whole.bad]
    query(campaign, config, START)
    annotate(campaign, config, 0)
    found = campaign.round(0).read_table(POINTS)
    campaign.round(0).remove(POINTS)
    annotate(campaign, skipping(tiny_config(images)), 0)
    assert campaign.round(0).read_table(POINTS).equals(found)
    assert found.num_rows == 2 * whole.table.num_rows
