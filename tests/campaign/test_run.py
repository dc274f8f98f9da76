"""A whole campaign on Ray: its points, its metrics, and that running it again changes nothing."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from campaigns import all_points, assert_finished, assert_points_are_true, open_campaign, torn

from atal_ray.campaign import run
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, METRICS, QUERIES
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.config import AttackConfig, RegionConfig, ResourceConfig
from atal_ray.errors import CampaignError, CheckpointError
from atal_ray.runtime.throughput import THROUGHPUT


def test_campaign_buys_true_points(finished):
    _, folder = finished
    campaign = open_campaign(folder)
    assert_finished(campaign, 2)
    assert_points_are_true(campaign, 2, 4)


def test_round_asks_for_new_superpixels_and_says_why(finished):
    _, folder = finished
    campaign = open_campaign(folder)
    seeds, answered = all_points(campaign, 2)
    bought = {(row["image_id"], row["superpixel"]) for row in seeds}
    assert all((row["image_id"], row["superpixel"]) not in bought for row in answered)
    assert {row["round"] for row in seeds} == {0}
    assert {row["round"] for row in answered} == {1}
    assert {row["source"] for row in seeds + answered} == {"seed", "oracle"}
    questions = campaign.round(0).read_table(QUERIES).to_pylist()
    assert {row["region"] for row in questions} <= {"SR", "PIR", "PSR"}
    assert [(row["x"], row["y"]) for row in questions] == [(row["x"], row["y"]) for row in answered]


def test_metrics_are_of_ensemble_and_last_snapshot(finished):
    _, folder = finished
    metrics = open_campaign(folder).round(1).read_json(METRICS)["test"]
    assert metrics["ensemble"]["images"] == metrics["last"]["images"] == 4
    assert metrics["errors"] == []
    assert metrics["ensemble"] != metrics["last"]


def test_finished_campaign_runs_no_stage_again(finished, monkeypatch):
    config, folder = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    for stage in ("train", "query", "annotate", "evaluate"):
        monkeypatch.setattr(run_module, stage, lambda *_: pytest.fail("a finished stage ran again"))
    run_campaign(config, folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}


def test_lost_file_of_a_committed_round_is_named(finished, tmp_path):
    config, folder = finished
    points = folder / "round-00" / "points.parquet"
    points.rename(tmp_path / "kept")
    try:
        with pytest.raises(CampaignError, match=r"round-00/points\.parquet was changed or lost"):
            run_campaign(config, folder)
    finally:
        (tmp_path / "kept").rename(points)


@pytest.mark.parametrize("actors", [2, 3])
def test_points_do_not_depend_on_the_number_of_actors(finished, tmp_path, actors):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    spread = dataclasses.replace(config, resources=dataclasses.replace(config.resources, query_actors=actors))
    query(campaign, spread, 0, out)
    assert out.read_table(QUERIES).equals(campaign.round(0).read_table(QUERIES))


def test_query_repeats_unfinished_shards_alone(finished, tmp_path):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    first = campaign.round(0).read_table(QUERIES)
    marked = first.slice(0, 6).set_column(5, "score", [[-1.0] * 6]).cast(first.schema)
    parts = out / f"{QUERIES}.parts"
    parts.write_table("000000.errors.parquet", ERROR_SCHEMA.empty_table())
    parts.write_table("000000.picks.parquet", marked)
    query(campaign, config, 0, out)
    second = out.read_table(QUERIES)
    assert second["score"].to_pylist()[:6] == [-1.0] * 6
    assert second.slice(6).equals(first.slice(6))
    assert out.names() == [QUERIES, THROUGHPUT]


@pytest.mark.parametrize(
    "changes",
    [
        {"attack": AttackConfig(model="ensemble")},
        {"attack": AttackConfig(labels="points")},
        {"regions": RegionConfig(labels="none")},
    ],
)
def test_every_option_of_the_query_runs(finished, tmp_path, changes):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    query(campaign, dataclasses.replace(config, **changes), 0, out)
    assert out.count_rows(QUERIES) == 14


def test_unreadable_image_is_one_row_of_errors(finished, tmp_path):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    with torn(folder) as image:
        query(campaign, config, 0, out)
    (error,) = out.read_table("errors.parquet").to_pylist()
    assert error["image_id"] == image.stem
    assert image.name in error["reason"]
    assert out.count_rows(QUERIES) == 12


def test_damaged_snapshot_is_one_sentence(finished, tmp_path):
    config, folder = finished
    copy = open_campaign(tmp_path / "copy")
    shutil.copytree(folder, tmp_path / "copy")
    copy.snapshots(0).write_bytes("2.pt", b"nothing")
    with pytest.raises(CheckpointError, match="state dict"):
        query(copy, config, 0)


def test_folder_in_a_store_is_refused(finished):
    config, _ = finished
    with pytest.raises(CampaignError, match="is no local path"):
        run_campaign(config, Path("s3://bucket/run"))


def test_cluster_that_is_too_small_is_refused(ray_local, finished, tmp_path):
    config, _ = finished
    greedy = dataclasses.replace(config, resources=ResourceConfig(query_actors=4))
    with pytest.raises(CampaignError, match="has 4 CPUs, but this configuration takes 5 at once"):
        run_campaign(greedy, tmp_path / "greedy")
