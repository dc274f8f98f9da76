"""A fork begins with the points of another campaign and, where the training is equal, with its rounds."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from campaigns import assert_points_are_true
from plain_campaigns import files, points, replace_unseen, with_budget, with_data

from atal_ray.campaign import fork as forks
from atal_ray.campaign.campaign_folder import FORK, POINTS, QUERIES, START, CampaignFolder
from atal_ray.campaign.fork import fork, like
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config, NetworkConfig, config_file
from atal_ray.data.manifest import build_manifest
from atal_ray.errors import CampaignError, ConfigError, WaitingError
from atal_ray.labels.points import SALIENT, concat
from atal_ray.store.folder import Folder

Copied = tuple[Config, CampaignFolder]


def pixels(tables: list[pa.Table]) -> list[tuple[str, int, int, int]]:
    rows = concat(tables).to_pylist()
    return sorted((row["image_id"], row["x"], row["y"], row["label"]) for row in rows)


def points_of(campaign: CampaignFolder, rounds: int) -> list[tuple[str, int, int, int]]:
    return pixels([campaign.round(number).read_table(POINTS) for number in range(rounds)])


def snapshot(campaign: CampaignFolder, number: int) -> bytes:
    return campaign.snapshots(number).read_bytes("2.pt")


def test_another_network_trains_on_all_points_at_once_and_asks_on(copied: Copied, tmp_path: Path) -> None:
    _, source = copied
    before = files(Path(source.root.uri))
    config = dataclasses.replace(like(source.root.uri), network=NetworkConfig(name="toy_network:WideToy"))
    made = fork(with_budget(config, total=6), source.root.uri, tmp_path / "new")
    assert files(Path(source.root.uri)) == before
    assert config_file.of_campaign(made.root).budget == BudgetConfig(start=4, per_round=2, total=6)
    assert points_of(made, 1) == points_of(source, 2)
    assert made.committed_rounds() == 2
    assert_points_are_true(made, 2, 6)
    assert set(Counter(row["image_id"] for row in points(made, 2)[1]).values()) == {2}
    assert made.root.read_json(FORK) == {
        "campaign": source.root.uri,
        "points": 20,
        "rounds": 2,
        "equal_rounds": 0,
    }


def test_rounds_of_equal_training_are_taken_and_only_what_follows_is_other(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, source = copied
    config = like(source.root.uri)
    other = dataclasses.replace(config, query=dataclasses.replace(config.query, strategy="random"))
    other = with_budget(other, total=6)
    made = fork(other, source.root.uri, tmp_path / "new")
    assert points(made, 2) == points(source, 2)
    for number in range(2):
        assert snapshot(made, number) == snapshot(source, number)
    assert {row["score"] for row in points(made, 3)[2]} == {0.0}, "random points"
    assert made.is_complete(other)
    again = fork(other, source.root.uri, tmp_path / "new")
    assert points(again, 3) == points(made, 3)


def test_a_fork_without_changes_goes_on_as_the_campaign_would(copied: Copied, tmp_path: Path) -> None:
    _, source = copied
    made = fork(with_budget(like(source.root.uri), total=6), source.root.uri, tmp_path / "new")
    run_campaign(with_budget(like(source.root.uri), total=6), source.root.uri)
    assert points(made, 3) == points(source, 3)


def test_new_images_get_random_points_and_changed_ones_lose_theirs(
    copied: Copied, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, source = copied
    images, masks = tmp_path / "train/images", tmp_path / "train/masks"
    first, second = sorted(path.stem for path in images.iterdir())[:2]
    shutil.copy(images / f"{first}.jpg", images / "new.jpg")
    shutil.copy(masks / f"{first}.png", masks / "new.png")
    replace_unseen(images / f"{second}.jpg")
    made = fork(like(source.root.uri), source.root.uri, tmp_path / "fork")
    assert f"4 points of 1 image that is gone or changed are left out: {second}" in caplog.text
    counts = Counter(row["image_id"] for row in points(made, 1)[0])
    assert counts.pop("new") == counts.pop(second) == 2
    assert set(counts.values()) == {4}
    known = [point for point in points_of(source, 2) if point[0] != second]
    assert [point for point in points_of(made, 1) if point[0] in counts] == known
    names = build_manifest(tmp_path / "train").table["image_id"].to_pylist()
    assert made.root.read_table("manifest.parquet")["image_id"].to_pylist() == names


@pytest.fixture
def people(copied: Copied, tmp_path: Path) -> tuple[Config, CampaignFolder]:
    """A campaign that people have answered, two rounds."""
    config = with_budget(copied[0], annotator="answers")
    campaign = CampaignFolder(Folder(str(tmp_path / "people")))
    for number in range(2):
        with pytest.raises(WaitingError):
            run_campaign(config, campaign.root.uri)
        asked = campaign.round(number - 1).read_table(QUERIES).select(["image_id", "x", "y"])
        labels = pa.array(np.arange(asked.num_rows) % 2, pa.uint8())
        campaign.round(number).write_table("answers.parquet", asked.append_column("label", labels))
    run_campaign(config, campaign.root.uri)
    return config, campaign


def test_a_corrected_answer_is_taken_and_rounds_before_it_are_kept(
    people: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    config, source = people
    answers = source.round(1).read_table("answers.parquet")
    labels = answers["label"].to_pylist()
    labels[0] = SALIENT
    source.round(1).write_table(
        "answers.parquet", answers.set_column(3, "label", pa.array(labels, pa.uint8()))
    )
    with pytest.raises(
        CampaignError, match=rf"answers\.parquet was changed.*`atal fork {source.root.uri} NEW`"
    ):
        run_campaign(config, source.root.uri)
    made = fork(like(source.root.uri), source.root.uri, tmp_path / "new")
    assert made.committed_rounds() == 2
    assert points(made, 1) == points(source, 1)
    assert snapshot(made, 0) == snapshot(source, 0)
    assert snapshot(made, 1) != snapshot(source, 1)
    assert [row["label"] for row in points(made, 2)[1]] == labels
    assert made.root.read_json(FORK)["equal_rounds"] == 1


def test_people_are_asked_about_new_images_alone(
    people: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    _, source = people
    images, masks = tmp_path / "train/images", tmp_path / "train/masks"
    first = next(images.iterdir()).stem
    shutil.copy(images / f"{first}.jpg", images / "new.jpg")
    shutil.copy(masks / f"{first}.png", masks / "new.png")
    with pytest.raises(WaitingError, match="22 questions, 20 of them answered"):
        fork(like(source.root.uri), source.root.uri, tmp_path / "fork")
    made = CampaignFolder(Folder(str(tmp_path / "fork")))
    asked = made.round(START).read_table(QUERIES)
    mine = asked.filter(pc.equal(asked["image_id"], "new")).select(["image_id", "x", "y"])
    made.round(0).write_table("answers.parquet", mine.append_column("label", pa.array([0, 255], pa.uint8())))
    run_campaign(config_file.of_campaign(made.root), made.root.uri)
    assert [point for point in points_of(made, 1) if point[0] != "new"] == points_of(source, 2)


def test_a_fork_that_was_cut_short_is_made_again(
    copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, source = copied
    config = with_budget(like(source.root.uri), total=6)
    with monkeypatch.context() as patch:
        patch.setattr(forks, "note_sources", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fork(config, source.root.uri, tmp_path / "new")
    with pytest.raises(CampaignError, match=rf"cut short: .*`atal fork {source.root.uri} {tmp_path}/new`"):
        run_campaign(config, tmp_path / "new")
    assert fork(config, source.root.uri, tmp_path / "new").committed_rounds() == 3


def test_what_cannot_be_forked_is_refused(copied: Copied, tmp_path: Path) -> None:
    config, source = copied
    with pytest.raises(ConfigError, match="is the campaign itself"):
        fork(config, source.root.uri, source.root.uri)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(CampaignError, match="holds another campaign already"):
        fork(config, source.root.uri, tmp_path / "other")
    with pytest.raises(CampaignError, match="is no campaign"):
        like(str(tmp_path / "train"))
    with pytest.raises(ConfigError, match="a fork goes on asking"):
        fork(with_data(config, points=source.root.uri), source.root.uri, tmp_path / "new")
