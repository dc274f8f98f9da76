import io
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from atal_ray.campaign.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.data.manifest import MANIFEST_SCHEMA, records
from atal_ray.networks.snapshots import read_snapshots
from atal_ray.report.gallery import IMAGES, chosen, make_gallery
from atal_ray.report.numbers import read_numbers
from atal_ray.seeding import derive

Make = Callable[..., tuple[CampaignFolder, Config]]


def manifest(names: list[str]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"image_id": name, "image": "", "height": 9, "width": 9} for name in names], MANIFEST_SCHEMA
    )


def test_the_images_with_the_smallest_hashes_are_shown_whatever_else_there_is() -> None:
    names = [f"image-{number}" for number in range(40)]
    shown = [record.image_id for record in chosen(manifest(names))]
    assert shown == sorted(names, key=lambda name: derive("report", name))[:IMAGES]
    assert [record.image_id for record in chosen(manifest([*names[::-1], *names[:0]]))] == shown
    assert [record.image_id for record in chosen(manifest(sorted(shown)))] == shown


@pytest.mark.usefixtures("quick")
def test_the_prediction_is_the_mean_of_the_last_rounds_snapshots(make: Make) -> None:
    campaign, config = make()
    gallery = make_gallery(campaign, config, read_numbers(campaign, config))
    snapshots = read_snapshots(campaign.snapshots(1), config, torch.device("cpu"))
    paths = {record.image_id: record.image for record in records(campaign.root.read_table(MANIFEST))}
    assert gallery.problem == ""
    assert {shown.image_id for shown in gallery.exhibits} == set(paths)
    for shown in gallery.exhibits:
        image = resize(read_image(paths[shown.image_id]), config.train.size)
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            mean = sum(network.saliency(batch)[0] for network in snapshots)[0, 0].numpy() / len(snapshots)
        expected = cv2.resize(mean, (shown.width, shown.height), interpolation=cv2.INTER_LINEAR)
        layer = next(picture.layer for picture in shown.pictures if picture.caption == "Ensemble prediction")
        grey = Image.open(io.BytesIO(b64decode(layer.split(",")[1]))).convert("RGBA").convert("L")
        np.testing.assert_allclose(np.asarray(grey) / 255, expected, atol=0.02)  # 64 grey levels


@pytest.mark.usefixtures("quick")
def test_the_attack_may_follow_the_points(make: Make) -> None:
    campaign, config = make()
    numbers = read_numbers(campaign, config)

    def scores(labels: str) -> list[str]:
        gallery = make_gallery(
            campaign, replace(config, attack=replace(config.attack, labels=labels, steps=3)), numbers
        )
        return [
            picture.layer
            for shown in gallery.exhibits
            for picture in shown.pictures
            if picture.caption.startswith("Score")
        ]

    by_points, by_prediction = scores("points"), scores("prediction")
    assert len(by_points) == len(by_prediction) == 4
    assert by_points != by_prediction


@pytest.mark.usefixtures("quick")
def test_points_beyond_a_changed_image_do_not_stop_the_others(make: Make) -> None:
    campaign, config = make()
    path = records(campaign.root.read_table(MANIFEST))[0].image
    Image.new("RGB", (3, 3)).save(path)
    exhibits = {
        shown.image_id: shown
        for shown in make_gallery(campaign, config, read_numbers(campaign, config)).exhibits
    }
    assert "is 3x3 px now" in exhibits["scene-0000"].problem
    assert all(not exhibits[name].problem for name in exhibits if name != "scene-0000")
