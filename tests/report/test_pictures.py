import io
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from atal_ray.report.gallery_file import ImageMaps
from atal_ray.report.overlays import LABEL_COLOURS
from atal_ray.report.pictures import Dot, Scene, map_pictures, plain_pictures, point_pictures


def point(x: int, y: int, label: int, number: int) -> dict[str, object]:
    return {"x": x, "y": y, "label": label, "round": number, "score": 0.5}


@pytest.fixture
def scene() -> Scene:
    """A scene of 4x8 pixels: superpixels are columns in pairs, the left half is salient."""
    columns = np.arange(8)
    superpixels = np.tile(columns // 2, (4, 1)).astype(np.int32)
    mask = np.tile(columns < 3, (4, 1))
    points = [point(0, 1, 1, 0), point(3, 3, 1, 0), point(7, 0, 0, 1), point(4, 2, 255, 1)]
    return Scene("a", np.zeros((4, 8, 3), np.uint8), mask, superpixels, points)


def captions(scene: Scene, mode: Any) -> list[str]:
    return [picture.caption for picture in point_pictures(scene, mode)]


def test_region_labels_are_measured_against_the_mask(scene: Scene) -> None:
    # three of four superpixels are labelled; of the second one, half is wrong
    text = "Region labels: 75.0 % of the pixels, 83.3 % of them as in the mask"
    assert captions(scene, "propagate") == ["4 superpixels", text, "4 points, each with its round"]
    # with the mask's own labels, only the click that contradicts it is wrong
    assert captions(scene, "oracle_mask")[1].endswith("75.0 % of the pixels, 95.8 % of them as in the mask")


def test_without_a_mask_or_regions(scene: Scene) -> None:
    bare = Scene("a", scene.image, None, scene.superpixels, scene.points)
    assert captions(bare, "propagate")[1] == "Region labels: 75.0 % of the pixels"
    assert captions(Scene("a", scene.image, scene.mask, None, scene.points), "none") == [
        "4 points, each with its round"
    ]
    assert captions(Scene("a", scene.image, scene.mask, scene.superpixels, []), "propagate") == [
        "4 superpixels",
        "Region labels: 0.0 % of the pixels",
    ]


def test_dots_lie_on_the_centres_of_their_pixels(scene: Scene) -> None:
    dots = point_pictures(scene, "propagate")[-1].dots
    assert [(dot.x, dot.y) for dot in dots] == [
        (30, 90),
        (210, 210),
        (450, 30),
        (270, 150),
    ]  # 60 pixels for one
    assert [dot.colour for dot in dots] == [LABEL_COLOURS[label] for label in (1, 1, 0, 255)]
    assert [dot.text for dot in dots] == ["0", "0", "1", "1"]
    assert dots[2].title == "round 1: background at x 7, y 0, score 0.5"


def test_maps_are_drawn_in_their_places_and_regions_counted(scene: Scene) -> None:
    regions = np.array([[0, 0], [1, 2]], np.uint8)
    black, dark, grey, white = (np.full((2, 2), value, np.uint8) for value in (0, 64, 128, 255))
    maps = ImageMaps(black, dark, grey, white, regions)
    asked = [{"x": 7, "y": 0, "round": 2, "order": 0, "score": 1.5, "label": 1}]
    assert [picture.caption for picture in plain_pictures(scene)] == ["Image", "True mask"]
    pictures = map_pictures(scene, maps, asked, "flip-margin")
    assert [picture.caption for picture in pictures] == [
        "Prediction",
        "Clean uncertainty, 1 - BvSB",
        "Uncertainty after the attack",
        "Score of the query (flip-margin) and the 1 point it asked",
        "Regions: SR 50.0 %, PIR 25.0 %, PSR 25.0 %",
    ]
    shades = [colours(picture.layer) for picture in pictures[:4]]
    inferno = 255 * colormaps["inferno"](np.linspace(0, 1, 64))[:, :3]
    wanted = [[[0, 0, 0]], [inferno[16]], [inferno[32]], [inferno[63]]]
    np.testing.assert_allclose(shades, wanted, atol=1)
    assert len(colours(pictures[4].layer)) == 3
    assert [picture.dots for picture in pictures if picture.dots] == [
        (Dot(450, 30, LABEL_COLOURS[1], "1", "round 2: salient at x 7, y 0, score 1.5"),)
    ]


def test_points_of_a_round_without_maps_lie_on_the_photograph(scene: Scene) -> None:
    asked = [{"x": 7, "y": 0, "round": 2, "order": 1, "score": 0.0}]
    (picture,) = map_pictures(scene, None, asked, "flip-margin")
    assert (picture.caption, picture.on_photo, picture.dots[0].text) == ("1 point asked", True, "2")
    assert "not answered yet" in picture.dots[0].title


def colours(layer: str) -> np.ndarray:
    """Every colour of a layer once, [N, 3]."""
    pixels = Image.open(io.BytesIO(b64decode(layer.split(",")[1]))).convert("RGBA").convert("RGB")
    return np.unique(np.asarray(pixels).reshape(-1, 3), axis=0)
