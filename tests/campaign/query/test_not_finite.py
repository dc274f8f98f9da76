"""Maps or features that are not finite: an error row for the image, one sentence where it is so for all."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from campaigns import open_campaign, tiny_config

from atal_ray.acquisition.predictions import Predictions
from atal_ray.campaign.campaign_folder import ERRORS, MANIFEST, POINTS, QUERIES
from atal_ray.campaign.evaluate import EvaluateShard, evaluate
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.query import looking, score
from atal_ray.campaign.query.ask import query
from atal_ray.config import QueryConfig
from atal_ray.data.manifest import build_manifest
from atal_ray.errors import DivergedError
from atal_ray.labels.points import POINT_SCHEMA

IMAGES, CHANNELS = 4, 3


@pytest.fixture
def campaign(synth_folder, tmp_path):
    """Four images without points, also as the test set, and a round to ask."""
    campaign = open_campaign(tmp_path)
    table = build_manifest(synth_folder, limit=IMAGES).table
    campaign.root.write_table(MANIFEST, table)
    (campaign.root / "tests").write_table(f"{synth_folder.name}.parquet", table)
    campaign.round(0).write_table(POINTS, POINT_SCHEMA.empty_table())
    return campaign


def stub(monkeypatch, spoilt, part):
    """Snapshots of which the images of those numbers get maps or features that are not finite."""
    seen = iter(range(100))

    def predict(snapshots, images, *_):
        side, rng = images.shape[-1], np.random.default_rng(0)
        maps = {
            "clean": rng.random((len(images), side, side), np.float32),
            "attacked": rng.random((len(images), side, side), np.float32),
            "features": rng.random((len(images), CHANNELS, 16, 16), np.float32),
        }
        for row, number in zip(range(len(images)), seen, strict=False):
            if number in spoilt:
                maps[part][row] = np.inf if part == "features" else np.nan
        return Predictions(**{name: torch.from_numpy(values) for name, values in maps.items()})

    monkeypatch.setattr(looking, "predict", predict)
    snapshots = [SimpleNamespace(feature_channels=CHANNELS)]
    monkeypatch.setattr(score.PickShard, "snapshots", snapshots)


def configure(folder, scope):
    config = tiny_config(folder, (folder,))
    return dataclasses.replace(
        config, query=QueryConfig(shard_size=3, batch_size=2, scope=scope, cover_factor=2, ceiling=2)
    )


@pytest.mark.parametrize("scope", ["image", "dataset"])
@pytest.mark.parametrize("part", ["clean", "attacked", "features"])
@pytest.mark.parametrize("on_gpu", [False, True])
def test_the_image_is_an_error_row_and_the_others_are_asked(
    campaign, synth_folder, monkeypatch, caplog, scope, part, on_gpu
):
    stub(monkeypatch, {1}, part)
    monkeypatch.setattr(score.PickShard, "on_gpu", on_gpu)
    query(campaign, configure(synth_folder, scope), 0)
    ids = campaign.root.read_table(MANIFEST)["image_id"].to_pylist()
    errors = campaign.round(0).read_table(ERRORS).to_pylist()
    assert {"stage": "query", "image_id": ids[1], "reason": NOT_FINITE} in errors
    asked = campaign.round(0).read_table(QUERIES)["image_id"].to_pylist()
    assert set(asked) == {*ids} - {ids[1]}
    assert len(asked) == 2 * len(set(asked))
    assert "errors.parquet" in caplog.text


@pytest.mark.parametrize("scope", ["image", "dataset"])
def test_where_no_image_is_finite_the_learning_rate_is_named(campaign, synth_folder, monkeypatch, scope):
    stub(monkeypatch, set(range(IMAGES)), "features")
    with pytest.raises(
        DivergedError, match=r"round 0: query: .* every image.*lower train\.lr-max than 0\.05"
    ):
        query(campaign, configure(synth_folder, scope), 0)
    assert not campaign.round(0).exists(QUERIES)


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("spoilt", [{2}, set(range(IMAGES))])
def test_evaluation_names_the_images_and_goes_on_with_the_others(
    campaign, synth_folder, monkeypatch, spoilt, on_gpu
):
    monkeypatch.setattr(EvaluateShard, "on_gpu", on_gpu)
    seen = iter(range(100))

    def predict(snapshots, images):
        logits = torch.zeros(1, len(images), 1, 64, 64)
        for row in range(len(images)):
            if next(seen) in spoilt:
                logits[:, row, :, 3, 3] = torch.nan
        return logits

    monkeypatch.setattr("atal_ray.campaign.evaluate.predict", predict)
    monkeypatch.setattr(EvaluateShard, "snapshots", [])
    config = configure(synth_folder, "image")
    if len(spoilt) == IMAGES:
        with pytest.raises(DivergedError, match=r"evaluation on scenes: .* every image"):
            evaluate(campaign, config, 0)
        return
    evaluate(campaign, config, 0)
    found = campaign.round(0).read_json("metrics.json")["scenes"]
    ids = campaign.root.read_table(MANIFEST)["image_id"].to_pylist()
    assert found["errors"] == [[ids[2], NOT_FINITE]]
    assert found["ensemble"]["images"] == IMAGES - 1
