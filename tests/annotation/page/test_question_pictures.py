"""The marked pixel is the asked one, however a camera was held."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atal_ray.annotation.page import question_pictures as pictures
from atal_ray.data.record import Record, digest

WIDTH, HEIGHT = 60, 40


def record_of(path: Path, orientation: int) -> Record:
    """A PNG with one red pixel at (7, 30), on grey."""
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pixels[30, 7] = 255, 0, 0
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    data = path.read_bytes()
    return Record("a", str(path), None, HEIGHT, WIDTH, len(data), digest(data), None, None)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_place_is_where_the_pixel_is_seen(orientation: int, tmp_path: Path) -> None:
    record = record_of(tmp_path / "a.png", orientation)
    assert pictures.orientation_of(record) == orientation
    seen = decoded(pictures.whole(record, 7, 30, orientation))
    where = pictures.place(7, 30, WIDTH, HEIGHT, orientation)
    assert seen.shape[:2] == (where.height, where.width)
    red = seen[..., 0] - seen[..., 1]
    y, x = np.unravel_index(red.argmax(), red.shape)
    assert (x + 0.5) / where.width == pytest.approx(where.x)
    assert (y + 0.5) / where.height == pytest.approx(where.y)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_crop_has_the_pixel_in_its_middle(orientation: int, tmp_path: Path) -> None:
    record = record_of(tmp_path / "a.png", orientation)
    seen = decoded(pictures.crop(record, 7, 30, orientation))
    side = (2 * pictures.REACH + 1) * pictures.ZOOM
    assert seen.shape == (side, side, 3)
    red = np.argwhere(seen[..., 0] - seen[..., 1] > 100)
    middle = pictures.REACH * pictures.ZOOM
    assert red.min(0).tolist() == [middle, middle]
    assert red.max(0).tolist() == [middle + pictures.ZOOM - 1] * 2
    assert (seen == 0).all(2).any(), "outside of the image it is black"


def test_a_large_image_is_made_smaller(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (3000, 1000)).save(path)
    data = path.read_bytes()
    record = Record("a", str(path), None, 1000, 3000, len(data), digest(data), None, None)
    assert decoded(pictures.whole(record, 0, 0, 1)).shape[1] == pictures.SIDE


def test_pillow_turns_a_tiff_itself(tmp_path: Path) -> None:
    record = record_of(tmp_path / "a.tif", 6)
    assert pictures.orientation_of(record) == 1
