"""Points for any images from the snapshots of a finished campaign."""

import dataclasses
import shutil

import pytest
from campaigns import assert_points_are_true

from atal_ray.campaign import generate as generation
from atal_ray.campaign.campaign_folder import POINTS, QUERIES
from atal_ray.campaign.generate import Generation, generate, summary
from atal_ray.cli import main
from atal_ray.config import AnnotationConfig
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError


@pytest.fixture
def plan(finished, tmp_path) -> Generation:
    """Three points of each of five images that the campaign has not seen."""
    _, folder = finished
    images = write_dataset(tmp_path / "images", count=5, seed=3)
    return dataclasses.replace(Generation.like(folder), images=str(images), points=3)


def test_masks_answer_at_once(plan, tmp_path):
    campaign = generate(plan, tmp_path / "out")
    points = campaign.round(1).read_table(POINTS)
    assert points.num_rows == 3 * 5
    assert set(points["source"].to_pylist()) == {"oracle"}
    assert points["order"].to_pylist() == [0, 1, 2] * 5
    assert_points_are_true(campaign, 2, 3, plan.images)
    assert summary(campaign) == f"15 points of 5 images: {tmp_path}/out/round-01/points.parquet"


def test_without_masks_the_questions_are_the_result(plan, tmp_path):
    shutil.rmtree(tmp_path / "images" / "masks")
    campaign = generate(plan, tmp_path / "out")
    assert campaign.round(0).count_rows(QUERIES) == 15
    assert not campaign.round(1).exists(POINTS)
    assert summary(campaign).endswith("round-00/queries.parquet")


def test_without_masks_people_answer_in_parts_and_may_correct(plan, tmp_path, caplog):
    caplog.set_level("INFO")
    shutil.rmtree(tmp_path / "images" / "masks")
    out = generate(plan, tmp_path / "out").round(1)
    assert "15 questions, 0 of them answered" in caplog.text
    head, *rows = out.read_bytes("questions.csv").decode().splitlines()
    answers = [f"{row}{'foreground' if number % 2 else '0'}" for number, row in enumerate(rows)]
    out.write_lines("answers.csv", [head, *answers[:4]])
    generate(plan, tmp_path / "out")
    assert "15 questions, 4 of them answered" in caplog.text
    out.write_lines("Answers.csv", [head, *answers])
    campaign = generate(plan, tmp_path / "out")
    points = campaign.round(1).read_table(POINTS)
    assert points["label"].to_pylist() == [number % 2 for number in range(15)]
    assert set(points["source"].to_pylist()) == {"human"}
    assert summary(campaign).endswith("round-01/points.parquet")
    out.remove("answers.csv")
    out.write_lines("Answers.csv", [head, *answers[:-1], f"{rows[-1]}unsure"])
    assert generate(plan, tmp_path / "out").round(1).read_table(POINTS)["label"].to_pylist()[-1] == 255


def test_one_budget_for_all_images(plan, tmp_path):
    spread = dataclasses.replace(
        plan, query=dataclasses.replace(plan.query, scope="dataset", floor=1, ceiling=5)
    )
    assert generate(spread, tmp_path / "out").round(1).count_rows(POINTS) == 15


def test_the_same_command_goes_on_and_another_is_refused(plan, tmp_path, monkeypatch, capsys):
    campaign = generate(plan, tmp_path / "out")
    (tmp_path / "out" / "round-01" / POINTS).unlink()
    monkeypatch.setattr(generation, "query", lambda *_: pytest.fail("what was asked is asked again"))
    monkeypatch.setattr("sys.argv", ["atal", "resume", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert campaign.round(1).count_rows(POINTS) == 15
    assert "done: 15 points of 5 images" in capsys.readouterr().out
    with pytest.raises(CampaignError, match="points: 3 -> 4"):
        generate(dataclasses.replace(plan, points=4), tmp_path / "out")


def test_all_questions_are_waited_for_whatever_the_campaign_had_enough_with(plan, finished):
    config = dataclasses.replace(finished[0], annotation=AnnotationConfig(enough=0.5, deadline_hours=1))
    assert plan.config(config).annotation == AnnotationConfig()


def test_what_is_wrong_is_named(plan, finished, tmp_path):
    _, folder = finished
    with pytest.raises(CampaignError, match=r"images is no campaign: it holds no config\.yaml"):
        Generation.like(tmp_path / "images")
    with pytest.raises(ConfigError, match="name the folder of images"):
        generate(dataclasses.replace(plan, images=""), tmp_path / "out")
    with pytest.raises(DataError, match="nowhere"):
        generate(dataclasses.replace(plan, images=str(tmp_path / "nowhere")), tmp_path / "out")
    with pytest.raises(ConfigError, match="points is 0"):
        dataclasses.replace(plan, points=0)
    started = tmp_path / "started"
    started.mkdir()
    shutil.copy(folder / "config.yaml", started)
    with pytest.raises(CampaignError, match="no finished round"):
        generate(dataclasses.replace(plan, snapshots=str(started)), tmp_path / "out")


def test_a_method_by_dropout_needs_snapshots_that_were_trained_with_it(plan, tmp_path):
    asking = dataclasses.replace(plan, query=dataclasses.replace(plan.query, method="mcdr"))
    with pytest.raises(ConfigError, match=r"take a campaign that was trained with network\.dropout"):
        generate(asking, tmp_path / "out")


def test_images_may_be_moved_and_not_lost(plan, tmp_path):
    generate(plan, tmp_path / "out")
    moved = (tmp_path / "images").rename(tmp_path / "moved")
    with pytest.raises(DataError, match=r"images is not there.*--images NEW_PLACE"):
        generate(plan, tmp_path / "out")
    assert generate(dataclasses.replace(plan, images=str(moved)), tmp_path / "out").round(1).exists(POINTS)


def test_a_campaign_on_full_masks_can_ask(plan, finished):
    config, _ = finished
    dense = dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, loss="bce+iou"),
        regions=dataclasses.replace(config.regions, labels="dense"),
    )
    asking = plan.config(dense)
    assert asking.regions.labels == "propagate"
    assert (asking.train.size, asking.train.cycles) == (config.train.size, config.train.cycles)
    assert asking.data.train == plan.images
