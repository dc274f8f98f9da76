import io
from base64 import b64decode

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from PIL import Image

from atal_ray.report import overlays, picture_size
from atal_ray.report.overlays import LABEL_COLOURS, REGION_COLOURS


def decode(layer: str) -> np.ndarray:
    data = b64decode(layer.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def bytes_of(colour: str) -> list[int]:
    return [round(255 * part) for part in to_rgb(colour)]


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 400), (360, 480)), ((60, 30), (480, 240)), ((1, 4000), (1, 480))]
)
def test_fit_keeps_the_shape(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert picture_size.fit(*size) == expected


def test_photo_at_its_own_size_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (11, 7, 3), dtype=np.uint8)
    pixels = decode(overlays.photo(image, (11, 7)))
    assert np.array_equal(pixels[..., :3], image)
    assert (pixels[..., 3] == 255).all()


def test_heat_has_the_colours_of_its_map() -> None:
    values = np.array([[0, 1], [1.5, 2.7]])  # the last one is over the top
    pixels = decode(overlays.heat(values, (2, 2), 2, "inferno"))
    ramp = colormaps["inferno"](np.linspace(0, 1, 64))
    for cell, level in {(0, 0): 0, (0, 1): 32, (1, 0): 47, (1, 1): 63}.items():
        np.testing.assert_allclose(pixels[cell][:3], 255 * ramp[level][:3], atol=1)


def test_regions_have_their_colours() -> None:
    kinds = np.array([[0, 1, 2]], np.uint8)
    pixels = decode(overlays.regions(kinds, (2, 6)))
    assert pixels[1, ::2, :3].tolist() == [bytes_of(REGION_COLOURS[name]) for name in ("SR", "PIR", "PSR")]


def test_boundaries_equal_the_loop() -> None:
    ids = np.random.default_rng(1).integers(0, 3, (6, 5)).astype(np.int32)
    drawn = decode(overlays.boundaries(ids, (6, 5)))[..., 3] > 0
    for y, x in np.ndindex(6, 5):
        above, left = ids[max(y - 1, 0), x], ids[y, max(x - 1, 0)]
        assert drawn[y, x] == (ids[y, x] != above or ids[y, x] != left)


def test_labels_are_clear_where_nothing_is_known() -> None:
    pixels = decode(overlays.labels(np.array([[0, 1, 255]], np.uint8), (1, 3)))[0]
    assert pixels[0, :3].tolist() == bytes_of(LABEL_COLOURS[0])
    assert pixels[1, :3].tolist() == bytes_of(LABEL_COLOURS[1])
    assert 0 < pixels[0, 3] == pixels[1, 3] < 255
    assert pixels[2, 3] == 0


def test_gradient_runs_from_low_to_high() -> None:
    text = overlays.gradient("gray")
    assert text.startswith("linear-gradient(to right, #000000")
    assert text.endswith("#ffffff)")
