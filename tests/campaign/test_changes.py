"""A campaign goes on with other settings, as far as they may change, and says what may not."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image
from plain_campaigns import files, points, replace_unseen, with_budget, with_data

from atal_ray.campaign import rounds
from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import (
    ERRORS,
    METRICS,
    POINTS,
    QUERIES,
    START,
    TRAINING,
    CampaignFolder,
)
from atal_ray.campaign.changes import SOURCES, admit, asked_before, sources
from atal_ray.campaign.evaluate import evaluate
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.campaign.train import train
from atal_ray.config import BudgetConfig, Config, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError, WaitingError
from atal_ray.store.folder import Folder

Copied = tuple[Config, CampaignFolder]


def no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("train", "query", "annotate", "look", "make_gallery"):
        monkeypatch.setattr(rounds, stage, lambda *_: pytest.fail("a finished stage ran again"))


def test_a_larger_budget_gives_the_points_of_the_longer_campaign(copied: Copied, tmp_path: Path) -> None:
    config, campaign = copied
    longer = with_budget(config, total=6)
    run_campaign(longer, campaign.root.uri)
    assert campaign.committed_rounds() == 3
    whole = run_campaign(longer, tmp_path / "whole")
    assert points(campaign, 3) == points(whole, 3)
    assert config_file.of_campaign(campaign.root) == config_file.of_campaign(whole.root)
    assert campaign.is_complete(longer)


def test_other_points_a_round_are_those_of_a_campaign_that_says_so_at_once(
    copied: Copied, tmp_path: Path
) -> None:
    config, campaign = copied
    run_campaign(with_budget(asked_before(campaign, config), per_round=3, total=7), campaign.root.uri)
    kept = config_file.of_campaign(campaign.root).budget
    assert kept == BudgetConfig(start=2, per_round=3, total=7, earlier=(2,))
    assert [len(rows) for rows in points(campaign, 3)] == [10, 10, 15]
    whole = run_campaign(with_budget(config, per_round=3, total=7, earlier=(2,)), tmp_path / "whole")
    assert points(campaign, 3) == points(whole, 3)


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        ({"total": 2}, r"budget\.total 2 is below 4"),
        (
            {"total": 9, "per_round": 7},
            r"not reached from 4 in steps of 7: choose 4 or 11\. Without another budget it",
        ),
    ],
)
def test_a_budget_that_cannot_be_had_is_refused(
    copied: Copied, budget: dict[str, int], sentence: str
) -> None:
    config, campaign = copied
    before = files(Path(campaign.root.uri))
    with pytest.raises(ConfigError, match=sentence):
        run_campaign(with_budget(config, **budget), campaign.root.uri)
    assert files(Path(campaign.root.uri)) == before


def test_what_may_not_change_is_refused_with_the_command_that_has_it(copied: Copied) -> None:
    config, campaign = copied
    before = files(Path(campaign.root.uri))
    with pytest.raises(
        CampaignError, match=rf"seed: 0 -> 7.*`atal fork {campaign.root.uri} NEW --seed 7`"
    ) as caught:
        run_campaign(dataclasses.replace(config, seed=7), campaign.root.uri)
    assert "another configuration" in str(caught.value)
    assert files(Path(campaign.root.uri)) == before


def test_an_edited_configuration_is_looked_at_like_options(copied: Copied) -> None:
    config, campaign = copied
    edited = yaml.safe_load(campaign.root.read_bytes(CONFIG))
    edited["train"]["epochs"] = 4
    campaign.root.write_bytes(CONFIG, yaml.safe_dump(edited).encode())
    with pytest.raises(CampaignError, match=r"train\.epochs: 2 -> 4"):
        run_campaign(config_file.saved(campaign.root, CONFIG, Config), campaign.root.uri)
    run_campaign(config, campaign.root.uri)
    assert config_file.saved(campaign.root, CONFIG, Config) == config


def test_moved_data_are_the_same_data(
    copied: Copied, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config, campaign = copied
    (tmp_path / "elsewhere").mkdir()
    for name in ("train", "test"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    moved = with_data(
        config, train=str(tmp_path / "elsewhere/train"), tests=(str(tmp_path / "elsewhere/test"),)
    )
    with monkeypatch.context() as patch:
        no_stage(patch)
        run_campaign(moved, campaign.root.uri)
    assert config_file.of_campaign(campaign.root).data.train == str(tmp_path / "elsewhere/train")
    run_campaign(with_budget(moved, total=6), campaign.root.uri)
    assert campaign.committed_rounds() == 3


def move_away(folder: Path) -> None:
    (folder / "train").rename(folder / "away")


def drop_one(folder: Path) -> None:
    next((folder / "train/masks").iterdir()).unlink()


def larger_mask(folder: Path) -> None:
    mask = next((folder / "train/masks").iterdir())
    Image.fromarray(np.zeros((200, 300), np.uint8)).save(mask)


def drop_test(folder: Path) -> None:
    next((folder / "test/images").iterdir()).unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            move_away,
            r"train is not there.*`atal resume .*run --data\.train NEW_PLACE`.*`atal fork",
        ),
        (drop_one, r"1 of 10 files that were looked at is not.*\n  masks/.*\.png is missing\n.*`atal fork"),
        (larger_mask, r"1 of 10 files.*\n  masks/.*\.png has [\d,]+ bytes, and had [\d,]+\n"),
        (drop_test, r"test: 1 of 6 files.*\n  images/.*\.jpg is missing\n.*--data\.tests NEW_PLACE"),
    ],
)
def test_missing_and_changed_files_are_named_before_anything_is_written(
    copied: Copied, tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    config, campaign = copied
    before = files(tmp_path / "run")
    spoil(tmp_path)
    for config_now in (config, with_budget(config, total=6)):
        with pytest.raises(DataError, match=sentence):
            run_campaign(config_now, campaign.root.uri)
    assert files(tmp_path / "run") == before


def test_other_files_of_the_same_names_and_sizes_are_not_taken_for_moved_data(
    copied: Copied, tmp_path: Path
) -> None:
    config, campaign = copied
    shutil.copytree(tmp_path / "train", tmp_path / "other")
    image = next((tmp_path / "other/images").iterdir())
    replace_unseen(image)
    with pytest.raises(DataError, match=rf"{image.name} is not the file that the campaign began with"):
        run_campaign(with_data(config, train=str(tmp_path / "other")), campaign.root.uri)


def test_images_that_were_added_are_named(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config, campaign = copied
    image = next((tmp_path / "train/images").iterdir())
    shutil.copy(image, image.with_name("new.jpg"))
    no_stage(monkeypatch)
    run_campaign(config, campaign.root.uri)
    assert "1 image was added after the campaign began (images/new.jpg): it goes on without" in caplog.text
    assert f"`atal fork {campaign.root.uri} NEW`" in caplog.text


def test_a_replaced_image_does_not_spoil_a_good_report(copied: Copied, tmp_path: Path) -> None:
    config, campaign = copied
    before = campaign.root.read_bytes("report.html")
    for image in (tmp_path / "train/images").iterdir():
        replace_unseen(image)
    with pytest.raises(
        DataError, match=r"images/.* is not the file.*report\.html shows it and was left as it is"
    ):
        run_campaign(config, campaign.root.uri)
    assert campaign.root.read_bytes("report.html") == before


def test_every_round_is_evaluated_on_an_added_test_set(copied: Copied, tmp_path: Path) -> None:
    config, campaign = copied
    before = points(campaign, 2)
    added = write_dataset(tmp_path / "more", count=3, seed=5, size=(64, 96))
    more = with_data(config, tests=(*config.data.tests, str(added)))
    old = [campaign.round(number).read_json(METRICS)["test"] for number in range(2)]
    run_campaign(more, campaign.root.uri)
    for number in range(2):
        metrics = campaign.round(number).read_json(METRICS)
        assert list(metrics) == ["more", "test"]
        assert metrics["test"] == old[number]
        assert metrics["more"]["ensemble"]["images"] == 3
    assert campaign.committed_rounds() == 2
    assert points(campaign, 2) == before
    run_campaign(config, campaign.root.uri)  # without it again: nothing is lost
    assert list(campaign.round(1).read_json(METRICS)) == ["more", "test"]


def test_weights_may_be_moved_and_not_replaced(copied: Copied, tmp_path: Path) -> None:
    config, campaign = copied
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")

    def starts_from(path: Path) -> Config:
        return dataclasses.replace(config, network=dataclasses.replace(config.network, weights=str(path)))

    before = starts_from(weights)
    campaign.root.write_json(SOURCES, sources(before))
    now = starts_from(weights.rename(tmp_path / "moved.pt"))
    admit(campaign, before, now)
    (tmp_path / "moved.pt").write_bytes(b"others!")
    with pytest.raises(CampaignError, match=r"weights: .*weights\.pt' -> .*which is not the same"):
        admit(campaign, before, now)
    with pytest.raises(CampaignError, match=r"moved\.pt is not the file that the campaign.*`atal fork"):
        admit(campaign, now, now)


def test_a_finished_round_whose_answers_are_changed_is_named_with_the_way_on(copied: Copied) -> None:
    config, campaign = copied
    campaign.round(1).write_bytes("answers.csv", b"image_id,x,y,label\n")
    campaign.commit(1)
    assert campaign.is_committed(1)
    campaign.round(1).write_bytes("answers.csv", b"image_id,x,y,label\nscene-0000,1,1,0\n")
    with pytest.raises(CampaignError, match=r"round-01/answers\.csv was changed.*restore.*`atal fork"):
        run_campaign(config, campaign.root.uri)
    campaign.round(1).remove("answers.csv")  # the points hold the answers
    assert campaign.is_committed(1)


def test_corrected_answers_of_an_open_round_are_taken_and_it_is_trained_again(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = copied
    people = with_budget(config, annotator="answers")
    campaign = CampaignFolder(Folder(str(tmp_path / "people")))
    with pytest.raises(WaitingError):
        run_campaign(people, campaign.root.uri)
    asked = campaign.round(START).read_table(QUERIES).select(["image_id", "x", "y"])

    def answer(labels: list[int]) -> None:
        campaign.round(0).write_table("answers.parquet", asked.append_column("label", pa.array(labels)))

    answer([1, 0] * 5)
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "look", stop)
        with pytest.raises(CampaignError, match="stopped"):
            run_campaign(people, campaign.root.uri)
    first = campaign.snapshots(0).read_bytes("2.pt")
    answer([0, 1] * 5)
    with pytest.raises(WaitingError):
        run_campaign(people, campaign.root.uri)
    assert campaign.round(0).read_table(POINTS)["label"].to_pylist() == [0, 1] * 5
    assert campaign.snapshots(0).read_bytes("2.pt") != first
    assert campaign.is_committed(0)


def stop(*_: Any) -> None:
    raise CampaignError("stopped")


class TestOneStage:
    """A file that is replaced while a campaign runs is named by the stage that reads it."""

    def spoil(self, folder: Path) -> Path:
        file = sorted(folder.iterdir())[0]
        replace_unseen(file)
        return file

    def test_training(self, copied: Copied, tmp_path: Path) -> None:
        config, campaign = copied
        image = self.spoil(tmp_path / "train/images")
        (campaign.root / "superpixels").delete()
        campaign.round(1).remove(TRAINING)
        with pytest.raises(DataError, match=rf"{image} is not the file.*put the old file back.*atal fork"):
            train(campaign, config, 1)
        assert not campaign.round(1).exists(TRAINING)

    def test_oracle(self, copied: Copied, tmp_path: Path) -> None:
        config, campaign = copied
        mask = self.spoil(tmp_path / "train/masks")
        campaign.round(1).remove(POINTS)
        with pytest.raises(DataError, match=rf"{mask} is not the file"):
            annotate(campaign, config, 1)
        assert not campaign.round(1).exists(POINTS)

    def test_query(self, copied: Copied, tmp_path: Path) -> None:
        config, campaign = copied
        image = self.spoil(tmp_path / "train/images")
        query(campaign, config, 0, campaign.root / "asked")
        (error,) = (campaign.root / "asked").read_table(ERRORS).to_pylist()
        assert error["image_id"] == image.stem
        assert f"{image} is not the file" in error["reason"]
        assert (campaign.root / "asked").count_rows(QUERIES) == 8

    @pytest.mark.parametrize("kind", ["images", "masks"])
    def test_evaluation(
        self, copied: Copied, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        config, campaign = copied
        file = self.spoil(tmp_path / "test" / kind)
        campaign.round(1).remove(METRICS)
        evaluate(campaign, config, 1)
        ((image_id, reason),) = campaign.round(1).read_json(METRICS)["test"]["errors"]
        assert image_id == file.stem
        assert f"{file} is not the file" in reason
        assert (
            f"evaluation on test: left out 1 image, such as {image_id}: {file} is not the file" in caplog.text
        )
