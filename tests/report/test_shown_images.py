"""A few images and their maps are shown from files; what cannot be read is named in its place."""

import io
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.report.gallery_file import (
    GALLERY,
    IMAGES,
    ImageMaps,
    gallery_table,
    problem_row,
    read_maps,
    shown_records,
)
from atal_ray.report.numbers import read_numbers
from atal_ray.report.predictions_file import TEST_IMAGES
from atal_ray.report.shown_images import Gallery, ShownImage, ShownRound, read_gallery
from atal_ray.report.shown_tests import read_test_images
from atal_ray.seeding import derive

Make = Callable[..., tuple[CampaignFolder, Config]]
FILE = {"image_bytes": 0, "image_digest": bytes(16)}


def manifest(names: list[str]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"image_id": name, "image": "", "height": 9, "width": 9, **FILE} for name in names],
        MANIFEST_SCHEMA,
    )


def gallery(campaign: CampaignFolder, config: Config) -> Gallery:
    return read_gallery(campaign, config, read_numbers(campaign, config))


def grey(shown: ShownImage | ShownRound, caption: str) -> np.ndarray:
    layer = next(picture.layer for picture in shown.pictures if picture.caption.startswith(caption))
    return np.asarray(Image.open(io.BytesIO(b64decode(layer.split(",")[1]))).convert("RGBA").convert("L"))


def test_the_images_with_the_smallest_hashes_are_shown_whatever_else_there_is() -> None:
    names = [f"image-{number}" for number in range(40)]
    shown = [record.image_id for record in shown_records([manifest(names)], "/")]
    assert shown == sorted(names, key=lambda name: derive("report", name))[:IMAGES]
    assert [record.image_id for record in shown_records([manifest(names[::-1])], "/")] == shown
    assert [record.image_id for record in shown_records([manifest(sorted(shown))], "/")] == shown
    parts = [manifest(names[start : start + 3]) for start in range(0, 40, 3)]
    assert [record.image_id for record in shown_records(parts, "/")] == shown


def test_maps_come_back_as_they_were_written(make: Make) -> None:
    campaign, _ = make(rounds=0)
    values = np.random.default_rng(0).integers(0, 256, (5, 5, 7), dtype=np.uint8)
    rows = [problem_row("b", "b.jpg is cut short"), ImageMaps(*values).to_row("a")]
    campaign.round(0).write_table(GALLERY, gallery_table(rows))
    found = read_maps(campaign.round(0))
    assert list(found) == ["a", "b"]
    assert found["b"] == "b.jpg is cut short"
    assert np.array_equal(list(vars(found["a"]).values()), values)


@pytest.mark.usefixtures("quick")
def test_every_image_is_shown_with_its_own_maps_of_every_round(make: Make) -> None:
    campaign, config = make()
    found = gallery(campaign, config)
    assert found.problem == ""
    for number in range(2):
        maps = read_maps(campaign.round(number))
        assert {shown.image_id for shown in found.images} == set(maps)
        for shown in found.images:
            assert (shown.problem, shown.rounds[number].problem) == ("", "")
            values = maps[shown.image_id].prediction.astype(np.float32)
            picture = grey(shown.rounds[number], "Prediction")
            expected = cv2.resize(values, picture.shape[::-1], interpolation=cv2.INTER_LINEAR)
            np.testing.assert_allclose(picture, expected, atol=4)  # 64 grey levels


@pytest.mark.usefixtures("quick")
def test_each_round_shows_the_points_that_it_asked_on_the_maps_that_chose_them(make: Make) -> None:
    campaign, config = make()
    for shown in gallery(campaign, config).images:
        (asked,) = [picture for picture in shown.rounds[0].pictures if picture.dots]
        assert asked.caption == "Score of the query (flip-margin) and the 1 point it asked"
        (dot,) = asked.dots
        assert dot.text == "1"
        assert dot.title.startswith("round 1: ")
        assert not any(picture.dots for picture in shown.rounds[1].pictures)  # the last one asked nothing
        captions = [picture.caption for picture in shown.rounds[0].pictures]
        assert captions[1:3] == ["Clean uncertainty, 1 - BvSB", "Uncertainty after the attack"]


@pytest.mark.usefixtures("quick")
def test_points_without_an_answer_yet_are_shown_where_they_were_asked(make: Make) -> None:
    campaign, config = make(rounds=1)
    for shown in gallery(campaign, config).images:
        (dot,) = next(picture.dots for picture in shown.rounds[0].pictures if picture.dots)
        assert "round 1: not answered yet at x 18, y 13" in dot.title


@pytest.mark.usefixtures("quick")
def test_without_the_file_of_maps_the_rest_is_shown_and_the_reason_given(make: Make) -> None:
    campaign, config = make()
    campaign.round(1).remove(GALLERY)
    found = gallery(campaign, config)
    assert "round-01/gallery.parquet is not there" in found.problem
    assert f"atal resume {campaign.root.uri}" in found.problem
    for shown in found.images:
        assert [one.number for one in shown.rounds] == [0]
        captions = [picture.caption for picture in shown.pictures]
        assert captions[:2] == ["Image", "True mask"]
        assert [caption.split()[1] for caption in captions[2:]] == ["superpixels", "labels:", "points,"]


@pytest.mark.usefixtures("quick")
def test_a_damaged_file_of_maps_is_named(make: Make) -> None:
    campaign, config = make()
    campaign.round(1).write_bytes(GALLERY, b"no table")
    assert "gallery.parquet" in gallery(campaign, config).problem


@pytest.mark.usefixtures("quick")
def test_an_image_without_maps_is_shown_with_the_reason(make: Make) -> None:
    campaign, config = make()
    rows = campaign.round(1).read_table(GALLERY).to_pylist()
    rows[0] = problem_row(rows[0]["image_id"], "the disk was full")
    campaign.round(1).write_table(GALLERY, gallery_table(rows))
    found = {shown.image_id: shown for shown in gallery(campaign, config).images}
    assert found["scene-0000"].rounds[1].problem == "the disk was full"
    assert [len(found[name].rounds[1].pictures) for name in sorted(found)] == [0, 5, 5, 5]


@pytest.mark.usefixtures("quick")
def test_points_beyond_a_changed_image_do_not_stop_the_others(make: Make) -> None:
    campaign, config = make()
    path = next(campaign.images(config))[0].image
    Image.new("RGB", (3, 3)).save(path)
    found = {shown.image_id: shown for shown in gallery(campaign, config).images}
    assert "images/scene-0000.jpg is not the file that the campaign began with" in found["scene-0000"].problem
    assert all(not found[name].problem for name in found if name != "scene-0000")


@pytest.mark.usefixtures("quick")
def test_maps_of_another_version_are_left_out(make: Make) -> None:
    campaign, config = make()
    table = campaign.round(1).read_table(GALLERY)
    campaign.round(1).write_table(GALLERY, table.drop_columns(["attacked"]))
    assert "was written by another version" in gallery(campaign, config).problem


@pytest.mark.usefixtures("quick")
def test_test_images_are_shown_with_what_every_round_predicts(make: Make) -> None:
    campaign, config = make(tests=("easy", "hard"))
    found = read_test_images(campaign, config, read_numbers(campaign, config))
    assert list(found) == ["easy", "hard"]
    for images in found.values():
        assert len(images) == TEST_IMAGES
        for shown in images:
            captions = ["Image", "True mask", "Prediction, round 0", "Prediction, round 1"]
            assert [picture.caption for picture in shown.pictures] == captions
            for number in range(2):
                np.testing.assert_allclose(grey(shown, captions[2 + number]), 60 * (number + 1), atol=4)


@pytest.mark.usefixtures("quick")
def test_a_test_image_that_cannot_be_read_is_named(make: Make, tmp_path: Path) -> None:
    campaign, config = make()
    for image in (tmp_path / "sets/easy/images").iterdir():
        image.write_bytes(b"no picture")
    shown = read_test_images(campaign, config, read_numbers(campaign, config))["easy"]
    assert all(one.problem and not one.pictures for one in shown)
