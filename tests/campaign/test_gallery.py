"""The maps that the report shows are the snapshots' own of these images; none of them stops a campaign."""

import dataclasses
import io
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from campaigns import open_campaign, tiny_config

from atal_ray import networks
from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.acquisition.uncertainty import difference, region_kind
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, START, CampaignFolder
from atal_ray.campaign.gallery import make_gallery
from atal_ray.campaign.query.ask import query
from atal_ray.config import AttackConfig, Config, NetworkConfig, ResourceConfig
from atal_ray.data.images import read_image, resize
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import records
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.report.gallery_file import GALLERY, ImageMaps, read_maps, shown_records
from atal_ray.report.predictions_file import TEST_IMAGES, read_predictions

import pyarrow as pa  # isort: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("gallery") / "train", count=6, size=(40, 64))


@pytest.fixture
def config(images: Path) -> Config:
    return tiny_config(
        images,
        network=NetworkConfig(name="toy_network:Toy"),
        resources=ResourceConfig(backend="inline"),
        attack=AttackConfig(steps=3),
    )


@pytest.fixture
def campaign(config: Config, images: Path, tmp_path: Path) -> CampaignFolder:
    """A campaign of six images with two random snapshots, and one point an image at another place in each."""
    campaign = open_campaign(tmp_path / "run")
    table = build_manifest(images).table
    campaign.root.write_table(MANIFEST, table)
    for number in (1, 2):
        torch.manual_seed(number)
        buffer = io.BytesIO()
        torch.save(networks.build(config.network, load_weights=False).state_dict(), buffer)
        campaign.snapshots(0).write_bytes(f"{number}.pt", buffer.getvalue())
    common = {"round": 0, "order": 0, "score": 0.0, "superpixel": 0, "source": "seed"}
    rows = [
        {
            "image_id": row["image_id"],
            "x": (5 + 9 * place) % 40,
            "y": 3 + 5 * place,
            "label": place % 2,
            **common,
        }
        for place, row in enumerate(table.to_pylist())
    ]
    campaign.round(0).write_table(POINTS, pa.Table.from_pylist(rows, POINT_SCHEMA))
    return campaign


def naive(campaign: CampaignFolder, config: Config) -> dict[str, tuple[Any, ...]]:
    """Prediction, uncertainty, score and regions of each shown image, one image after the other."""
    snapshots = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    points = {row["image_id"]: row for row in campaign.points(0).to_pylist()}
    found = {}
    for record in shown_records(campaign.chunks(), config.data.train):
        pixels = resize(read_image(record.image), config.train.size)
        point = points[record.image_id]
        xy, label = np.array([[point["x"], point["y"]]]), np.array([point["label"]], np.uint8)
        y, known = (
            torch.from_numpy(values)[None, None]
            for values in labels_on_grid(xy, label, config.train.size, record.height, record.width)
        )
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        maps = estimate(snapshots, batch, config.attack, y, known).numpy()
        pair = maps.clean[0], maps.attacked[0]
        found[record.image_id] = (
            pair[0],
            difference(*pair, "margin"),
            difference(pair[1], pair[0], "margin"),
            difference(*pair, "flip-margin") / 2,
            region_kind(*pair, config.query.near_boundary),
        )
    return found


def assert_maps_are(maps: ImageMaps | str, wanted: tuple[np.ndarray, ...]) -> None:
    assert isinstance(maps, ImageMaps)
    shown = (maps.prediction, maps.uncertainty, maps.attacked, maps.score)
    for values, expected in zip(shown, wanted[:4], strict=True):
        off = np.abs(values.astype(float) - 255 * expected) > 1  # the last bits depend on the batch
        assert off.mean() < 0.002
    assert np.mean(maps.regions != wanted[4]) < 0.002


@pytest.mark.parametrize("labels", ["prediction", "points"])
def test_maps_are_those_of_each_image_alone(campaign: CampaignFolder, config: Config, labels: str) -> None:
    config = dataclasses.replace(config, attack=dataclasses.replace(config.attack, labels=labels))
    make_gallery(campaign, config, 0)
    found, wanted = read_maps(campaign.round(0)), naive(campaign, config)
    assert found.keys() == wanted.keys()
    assert len(found) == 4  # in shards of three and batches of two
    for image_id, maps in found.items():
        assert_maps_are(maps, wanted[image_id])


def test_an_attack_by_points_is_another_one(campaign: CampaignFolder, config: Config) -> None:
    by_points = dataclasses.replace(config.attack, labels="points")
    scores = []
    for attack in (config.attack, by_points):
        make_gallery(campaign, dataclasses.replace(config, attack=attack), 0)
        scores.append([maps.score for maps in read_maps(campaign.round(0)).values()])
    assert all(not np.array_equal(one, other) for one, other in zip(*scores, strict=True))


def test_an_image_that_cannot_be_read_is_a_row(campaign: CampaignFolder, config: Config) -> None:
    torn = shown_records(campaign.chunks(), config.data.train)[1]
    image = Path(torn.image)
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        make_gallery(campaign, config, 0)
    finally:
        image.write_bytes(whole)
    found, wanted = read_maps(campaign.round(0)), naive(campaign, config)
    assert image.name in str(found.pop(torn.image_id))
    assert len(found) == 3
    for image_id, maps in found.items():
        assert_maps_are(maps, wanted[image_id])


def test_snapshots_that_cannot_be_read_leave_no_file_and_a_warning(
    campaign: CampaignFolder, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    campaign.snapshots(0).write_bytes("2.pt", b"no weights")
    with caplog.at_level(logging.WARNING):
        make_gallery(campaign, config, 0)
    assert "the report will show no maps" in caplog.text
    assert "2.pt" in caplog.text
    assert not campaign.round(0).exists(GALLERY)


def test_few_images_are_all_shown(campaign: CampaignFolder, config: Config) -> None:
    campaign.root.write_table(MANIFEST, campaign.root.read_table(MANIFEST).slice(0, 2))
    make_gallery(campaign, config, 0)
    ids = campaign.root.read_table(MANIFEST)["image_id"].to_pylist()
    assert list(read_maps(campaign.round(0))) == ids


@pytest.mark.parametrize("scope", ["image", "dataset"])
def test_a_query_leaves_the_maps_that_it_chose_by(
    campaign: CampaignFolder, config: Config, scope: str
) -> None:
    config = dataclasses.replace(config, query=dataclasses.replace(config.query, scope=scope))
    query(campaign, config, 0)
    found, wanted = read_maps(campaign.round(0)), naive(campaign, config)
    assert found.keys() == wanted.keys()
    for image_id, maps in found.items():
        assert_maps_are(maps, wanted[image_id])
    asked = campaign.round(0).read_table(QUERIES).to_pylist()
    for row in asked:
        if row["image_id"] in found and config.query.scope == "image":
            height, width = sizes(campaign)[row["image_id"]]
            cell = row["y"] * config.train.size // height, row["x"] * config.train.size // width
            near = found[row["image_id"]].score[
                max(0, cell[0] - 1) : cell[0] + 2, max(0, cell[1] - 1) : cell[1] + 2
            ]
            assert near.max() >= 255 * row["score"] / 2 - 2, (
                "a point lies where the score is as high as it says"
            )


def sizes(campaign: CampaignFolder) -> dict[str, tuple[int, int]]:
    rows = campaign.root.read_table(MANIFEST).to_pylist()
    return {row["image_id"]: (row["height"], row["width"]) for row in rows}


def test_the_random_start_saw_no_maps(campaign: CampaignFolder, config: Config) -> None:
    query(campaign, config, START)
    assert not campaign.round(START).exists(GALLERY)


def test_every_round_of_a_campaign_leaves_its_maps_and_predictions(finished: tuple[Config, Path]) -> None:
    config, folder = finished
    done = open_campaign(folder)
    for number in range(config.rounds):
        assert len(read_maps(done.round(number))) == 4
        found = read_predictions(done.round(number))
        assert len(found) == TEST_IMAGES
        snapshots = read_snapshots(done.snapshots(number), config, torch.device("cpu"))
        rows = records(done.root.read_table("tests/test.parquet"), config.data.tests[0])
        for record in (record for record in rows if ("test", record.image_id) in found):
            batch = to_batch(resize(record.read_image(), config.train.size)[None], torch.device("cpu"))
            maps = saliency_maps(predict(snapshots, batch)[:, 0], (record.height, record.width))
            expected = to_uint8(maps.mean(0).numpy()).astype(np.float64)
            shown = found["test", record.image_id].astype(np.float64)
            height, width = shown.shape
            assert max(height, width) <= max(60, *expected.shape)
            small = cv2.resize(expected, (width, height), interpolation=cv2.INTER_AREA)
            assert np.abs(shown - small).max() <= 2
