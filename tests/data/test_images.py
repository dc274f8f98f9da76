from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atal_ray.data.images import read_image, read_mask, read_mask_info, read_size, read_soft_mask, resize
from atal_ray.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_rgb_png_is_read_as_stored(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, RGB)
    assert read_size(tmp_path / "a.png") == (5, 7)


def test_grey_is_repeated_and_alpha_dropped(tmp_path: Path) -> None:
    Image.fromarray(RGB[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([RGB, RGB[..., 0]])).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([RGB[..., 0]] * 3, axis=2))
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), RGB)


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 255]], np.uint8)
    image = Image.fromarray(indices, mode="P")
    image.putpalette(colours.tobytes())
    image.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), colours[indices])


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 1], [[0, 1, 128, 255]])


def test_floating_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(DataError, match=r"f\.tiff cannot be decoded: floating-point"):
        read_image(tmp_path / "f.tiff")


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (5, 7, 3)
    assert read_size(tmp_path / "turned.jpg") == (5, 7)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_file_is_an_error_but_keeps_its_header(
    tmp_path: Path, cut_short: Callable[[Path], None], suffix: str
) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    cut_short(path)
    assert read_size(path) == (64, 64)
    with pytest.raises(DataError, match=f"cut.{suffix} cannot be decoded"):
        read_image(path)
    with pytest.raises(DataError, match=f"cut.{suffix} cannot be decoded"):
        read_mask(path)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"text\.jpg cannot be decoded: it is empty, or an image of no known"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(DataError, match=r"none\.jpg does not exist"):
        read_size(tmp_path / "none.jpg")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [20, 10])  # 35 pixels: between once and twice the limit Pillow only warns
def test_decompression_bomb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    Image.fromarray(RGB).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"bomb\.png cannot be decoded: .*limit"):
        read_image(tmp_path / "bomb.png")


def test_mask_threshold_lies_above_128(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 127, 128, 129, 254, 255]], np.uint8)).save(tmp_path / "m.png")
    info = read_mask_info(tmp_path / "m.png")
    assert info.mask.tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    assert info.mask.dtype == np.uint8
    assert (info.channels, info.grey_pixels, info.scale, info.normalised) == (1, 5, 255, True)


@pytest.mark.parametrize("top", [1, 255])
def test_mask_of_two_values_is_not_normalised(tmp_path: Path, top: int) -> None:
    Image.fromarray(np.array([[0, top], [top, 0]], np.uint8)).save(tmp_path / "m.png")
    info = read_mask_info(tmp_path / "m.png")
    assert info.mask.tolist() == [[0, 1], [1, 0]]
    assert (info.grey_pixels, info.scale, info.normalised) == (0, top, False)


def test_soft_masks_keep_their_grey_and_reach_255(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 127, 128, 255]], np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "unit.png")
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bit.png")
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.array([[[0, 0, 0], [9, 90, 0]]], np.uint8)).save(tmp_path / "colour.png")
    found = {path.stem: read_soft_mask(path) for path in tmp_path.iterdir()}
    assert {mask.dtype for mask in found.values()} == {np.dtype(np.uint8)}
    assert {name: mask[0].tolist() for name, mask in found.items()} == {
        "grey": [0, 1, 127, 128, 255],
        "unit": [0, 255],
        "bit": [0, 255],
        "deep": [0, 100, 255],
        "colour": [0, 90],
    }


def test_one_bit_and_empty_masks(tmp_path: Path) -> None:
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bit.png")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "empty.png")
    assert read_mask(tmp_path / "bit.png").tolist() == [[0, 1]]
    assert read_mask(tmp_path / "empty.png").tolist() == [[0, 0], [0, 0]]


def test_three_channel_mask_takes_its_brightest_channel(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    info = read_mask_info(tmp_path / "m.png")
    assert info.mask.tolist() == [[0, 1, 1]]
    assert (info.channels, info.normalised) == (3, True)


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ([[0, 0, 0], [128, 0, 0]], [[0, 1]]),
        ([[255, 255, 255], [0, 0, 0]], [[1, 0]]),
        ([[0, 0, 0], [255, 255, 255]], [[0, 1]]),
    ],
)
def test_palette_masks_of_classes_and_of_greys(
    tmp_path: Path, colours: list[list[int]], expected: list[list[int]]
) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette(np.array(colours, np.uint8).tobytes())
    image.save(tmp_path / "p.png")
    assert read_mask(tmp_path / "p.png").tolist() == expected


def test_sixteen_bit_masks(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1]], np.uint16)).save(tmp_path / "one.png")
    Image.fromarray(np.array([[0, 40000, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert read_mask(tmp_path / "one.png").tolist() == [[0, 1]]
    assert read_mask(tmp_path / "deep.png").tolist() == [[0, 1, 1]]


def test_resize_is_bilinear_and_square() -> None:
    ramp = np.repeat(np.array([[0, 100]], np.uint8), 2, axis=0)
    assert resize(ramp, 4).tolist() == [[0, 25, 75, 100]] * 4  # pixel centres at .25 and .75 of the way
    assert resize(RGB, 9).shape == (9, 9, 3)
