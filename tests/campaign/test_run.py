"""A whole campaign: its points, its metrics, and that running it again changes nothing."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from campaigns import all_points, assert_finished, assert_points_are_true, on_ray, open_campaign, torn
from torch.nn import functional

from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.uncertainty import REGION_NAMES, region_kind
from atal_ray.campaign import rounds
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, METRICS, QUERIES
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.config import AttackConfig, RegionConfig
from atal_ray.data.images import read_image, read_mask, resize
from atal_ray.data.record import records
from atal_ray.errors import CampaignError, CheckpointError
from atal_ray.metrics.mae import mae
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.report.gallery_file import GALLERY
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
    assert {row["region"] for row in questions} <= set(REGION_NAMES)
    assert [row["region"] for row in questions] == list(kinds_by_hand(campaign, finished[0], questions))
    assert [(row["x"], row["y"]) for row in questions] == [(row["x"], row["y"]) for row in answered]


def kinds_by_hand(campaign, config, questions):
    """The region kind at each question's pixel, from round 0's snapshots on one image at a time."""
    snapshots = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    rows = {row.image_id: row for chunk in campaign.images(config) for row in chunk}
    for question in questions:
        row, side = rows[question["image_id"]], config.train.size
        images = to_batch(resize(read_image(row.image), side)[None], torch.device("cpu"))
        maps = estimate(snapshots, images, config.attack).numpy()
        kinds = region_kind(maps.clean[0], maps.attacked[0], config.query.near_boundary)
        grid = original_pixels(side, row.height, row.width)
        y, x = (
            cells[np.flatnonzero(pixels == question[axis])[0]]
            for cells, pixels, axis in (
                (grid.cell_rows, grid.rows, "y"),
                (grid.cell_columns, grid.columns, "x"),
            )
        )
        yield REGION_NAMES[kinds[y, x]]


def test_metrics_are_of_ensemble_and_last_snapshot(finished):
    config, folder = finished
    campaign = open_campaign(folder)
    metrics = campaign.round(1).read_json(METRICS)["test"]
    assert metrics["ensemble"]["images"] == metrics["last"]["images"] == 4
    assert metrics["errors"] == []
    snapshots = read_snapshots(campaign.snapshots(1), config, torch.device("cpu"))
    errors: dict[str, list[float]] = {"ensemble": [], "last": []}
    for row in records((campaign.root / "tests").read_table("test.parquet"), folder.parent / "test"):
        images = to_batch(resize(read_image(row.image), config.train.size)[None], torch.device("cpu"))
        maps = [saliency_at(network, images, (row.height, row.width)) for network in snapshots]
        mask = read_mask(str(row.mask)).astype(bool)
        for who, saliency in {"ensemble": torch.stack(maps).mean(0), "last": maps[-1]}.items():
            errors[who].append(mae(to_uint8(saliency.numpy()), mask))
    for who, found in errors.items():
        assert metrics[who]["mae"] == pytest.approx(np.mean(found), abs=1e-4)
    assert abs(np.mean(errors["ensemble"]) - np.mean(errors["last"])) > 1e-3, "the two can be told apart"


@torch.no_grad()
def saliency_at(network, images, shape):
    """The network's map [H, W] at the size of the mask."""
    logits = network(network.normalise(images)).logits[network.prediction]
    return torch.sigmoid(functional.interpolate(logits, shape, mode="bilinear", align_corners=False))[0, 0]


def test_finished_campaign_runs_no_stage_again(finished, monkeypatch):
    config, folder = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    for stage in ("train", "query", "annotate", "look"):
        monkeypatch.setattr(rounds, stage, lambda *_: pytest.fail("a finished stage ran again"))
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


@pytest.mark.slow
def test_points_do_not_depend_on_the_number_of_actors(ray_local, finished, tmp_path):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    query(campaign, on_ray(config, query_actors=3), 0, out)
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
    assert out.names() == [GALLERY, QUERIES, THROUGHPUT]


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"attack": AttackConfig(model="ensemble")}, "score"),
        ({"attack": AttackConfig(labels="points")}, "score"),
        ({"regions": RegionConfig(labels="none")}, "superpixel"),
    ],
)
def test_every_option_of_the_query_has_its_effect(finished, tmp_path, changes, column):
    config, folder = finished
    campaign, out = open_campaign(folder), open_campaign(tmp_path).root
    query(campaign, dataclasses.replace(config, **changes), 0, out)
    asked, usual = out.read_table(QUERIES), campaign.round(0).read_table(QUERIES)
    assert asked["image_id"].equals(usual["image_id"])
    assert asked["order"].equals(usual["order"])
    assert not asked[column].equals(usual[column])
    if column == "superpixel":
        assert set(asked[column].to_pylist()) == {-1}
        assert -1 not in usual[column].to_pylist()


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


@pytest.mark.slow
def test_cluster_that_is_too_small_is_refused(ray_local, finished, tmp_path):
    config, _ = finished
    greedy = on_ray(config, query_actors=4)
    with pytest.raises(CampaignError, match="has 4 CPUs, but this configuration takes 5 at once"):
        run_campaign(greedy, tmp_path / "greedy")
