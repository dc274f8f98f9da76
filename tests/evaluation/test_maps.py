import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from atal_ray.errors import DataError
from atal_ray.evaluation.maps import fit_map, read_map

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
DEEP = RANDOM.integers(0, 65536, (5, 7), dtype=np.uint16)
UNIT = RANDOM.random((5, 7))


def write(path: Path, values: np.ndarray) -> Path:
    np.save(path, values) if path.suffix == ".npy" else Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    "pixels",
    [
        GREY,
        np.dstack([GREY] * 3),
        np.dstack([GREY] * 4),
        np.dstack([GREY, 255 - GREY]),
        np.dstack([GREY, GREY, GREY, 255 - GREY]),
    ],
    ids=["grey", "rgb", "rgba", "grey and alpha", "alpha dropped"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".PNG"])
def test_eight_bits_are_read_as_stored(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    saliency = read_map(write(tmp_path / f"a{suffix}", pixels))
    assert saliency.dtype == np.uint8
    np.testing.assert_array_equal(saliency, GREY)


@pytest.mark.parametrize("name", ["a.bmp", "a.webp", "a.png", "a.tiff"])
def test_what_opencv_writes_is_read(tmp_path: Path, name: str) -> None:
    assert cv2.imwrite(str(tmp_path / name), GREY, [cv2.IMWRITE_WEBP_QUALITY, 101])
    np.testing.assert_array_equal(read_map(tmp_path / name), GREY)


def test_grey_jpegs_in_three_channels_equal_those_in_one(tmp_path: Path) -> None:
    smooth = cv2.resize(GREY, (40, 40), interpolation=cv2.INTER_CUBIC)
    one, three = write(tmp_path / "one.jpg", smooth), write(tmp_path / "three.jpg", np.dstack([smooth] * 3))
    np.testing.assert_array_equal(read_map(one), read_map(three))


def test_channels_a_few_levels_apart_become_their_luma(tmp_path: Path) -> None:
    pixels = np.array([[[100, 108, 104], [0, 0, 0], [255, 255, 255]]], np.uint8)
    expected = round(0.299 * 100 + 0.587 * 108 + 0.114 * 104)
    assert read_map(write(tmp_path / "a.png", pixels)).tolist() == [[expected, 0, 255]]


def test_colour_pictures_are_refused(tmp_path: Path) -> None:
    pixels = np.dstack([GREY] * 3)
    pixels[2, 3] = 100, 109, 100
    path = write(tmp_path / "photo.png", pixels)
    with pytest.raises(
        DataError,
        match=r"photo\.png is a colour picture, not a saliency map: .* up to 9 levels, save it in grey",
    ):
        read_map(path)


def test_palettes_are_read_through_their_colours(tmp_path: Path) -> None:
    for name, colours in {
        "grey": [[255] * 3, [10] * 3, [77] * 3],
        "red": [[0, 0, 0], [128, 0, 0], [0, 0, 0]],
    }.items():
        image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
        image.putpalette(np.array(colours, np.uint8).tobytes())
        image.save(tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as stored:
            assert stored.mode == "P"
    assert read_map(tmp_path / "grey.png").tolist() == [[255, 10], [77, 10]]
    with pytest.raises(DataError, match=r"red\.png is a colour picture"):
        read_map(tmp_path / "red.png")


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([[0, 1]], np.uint8), [[0, 255]]),
        (np.array([[0, 1]], np.uint16), [[0, 65535]]),
        (np.array([[0, 1, 2]], np.uint8), [[0, 1, 2]]),
        (np.array([[1, 1]], np.uint8), [[1, 1]]),
        (np.array([[0, 0]], np.uint8), [[0, 0]]),
    ],
)
def test_zeros_and_ones_are_brought_to_full_scale(
    tmp_path: Path, name: str, stored: np.ndarray, expected: list[list[int]]
) -> None:
    saliency = read_map(write(tmp_path / name, stored))
    assert (saliency.dtype, saliency.tolist()) == (stored.dtype, expected)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    for values, expected in (([[False, True]], [[0, 255]]), ([[True, True]], [[255, 255]])):
        saliency = read_map(write(tmp_path / "bit.png", np.array(values)))
        assert (saliency.dtype, saliency.tolist()) == (np.uint8, expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_sixteen_bits_are_kept(tmp_path: Path, name: str) -> None:
    saliency = read_map(write(tmp_path / name, DEEP))
    assert saliency.dtype == np.uint16
    np.testing.assert_array_equal(saliency, DEEP)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tiff", "f4"), ("a.npy", "f2"), ("a.npy", "f4"), ("a.npy", "f8"), ("a.NPY", "<f4"), ("a.npy", ">f8")],
)
def test_floating_point_becomes_float64(tmp_path: Path, name: str, kind: str) -> None:
    values = np.asfortranarray(UNIT.astype(kind))
    with (tmp_path / name).open("wb") as file:
        np.save(file, values) if name.lower() == "a.npy" else Image.fromarray(values).save(
            file, format="TIFF"
        )
    saliency = read_map(tmp_path / name)
    assert saliency.dtype == np.float64
    assert saliency.dtype.isnative
    np.testing.assert_array_equal(saliency, values.astype(np.float64))


@pytest.mark.parametrize("name", ["a.npy", "a.tiff"])
@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0.5, np.nan], "holds NaN in 1 of 2 pixels: predict this image again"),
        ([0, 255], r"holds values from 0 to 255, outside of \[0, 1\]: divide by 255, or save as uint8"),
        ([-3.5, 0.5], r"holds values from -3\.5 to 0\.5, outside of \[0, 1\]: save probabilities"),
        ([0, 1.00001], r"holds values from 0 to 1\.00001, outside of \[0, 1\]: save probabilities"),
        ([0, np.inf], r"holds values from 0 to inf, outside"),
    ],
)
def test_numbers_that_are_no_saliency_are_refused(
    tmp_path: Path, name: str, values: list[float], sentence: str
) -> None:
    path = write(tmp_path / name, np.array([values], np.float32))
    with pytest.raises(DataError, match=f"{name} {sentence}"):
        read_map(path)


def test_the_rounding_of_float32_is_no_overshoot(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.npy", np.nextafter(np.array([[0, 1]], np.float32), np.array([[-1, 2]], np.float32))
    )
    assert read_map(path).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((2, 3), np.int64), "holds int64: save uint8, uint16, float16, float32, float64"),
        (np.zeros((2, 3), bool), "holds bool: save uint8"),
        (np.zeros((2, 3), complex), "holds complex128: save uint8"),
        (np.zeros((1, 2, 3)), r"is float64 \[1, 2, 3\]: save one map \[H, W\] a file"),
        (np.zeros((0, 3)), r"has no pixel: it is \[0, 3\]"),
    ],
)
def test_arrays_that_are_no_map_are_refused(tmp_path: Path, values: np.ndarray, sentence: str) -> None:
    with pytest.raises(DataError, match=rf"a\.npy {sentence}"):
        read_map(write(tmp_path / "a.npy", values))


def test_arrays_of_objects_and_damaged_ones_are_refused(
    tmp_path: Path, cut_short: Callable[[Path], None]
) -> None:
    np.save(tmp_path / "object.npy", np.array([[{}]]), allow_pickle=True)
    np.save(tmp_path / "cut.npy", np.zeros((64, 64)))
    cut_short(tmp_path / "cut.npy")
    with (tmp_path / "archive.npy").open("wb") as file:
        np.savez(file, UNIT)
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "empty.npy").touch()
    for name in ("object", "cut", "archive", "text", "empty"):
        with pytest.raises(DataError, match=rf"{name}\.npy cannot be read as an array: "):
            read_map(tmp_path / f"{name}.npy")


def test_missing_damaged_and_many_paged_pictures_are_refused(
    tmp_path: Path, cut_short: Callable[[Path], None]
) -> None:
    cut_short(write(tmp_path / "cut.png", RANDOM.integers(0, 256, (64, 64), dtype=np.uint8)))
    (tmp_path / "text.png").write_text("not an image")
    pages = [Image.fromarray(GREY), Image.fromarray(GREY)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(tmp_path / "wide.tif")
    for name, sentence in {
        "cut.png": "cannot be decoded",
        "text.png": "cannot be decoded",
        "pages.tif": "several pages, save each map as a file of its own",
        "wide.tif": "beyond 16 bits",
        "none.png": "does not exist",
        "none.npy": "does not exist",
    }.items():
        with pytest.raises(DataError, match=f"{name} .*{sentence}"):
            read_map(tmp_path / name)


def bilinear(values: np.ndarray, shape: tuple[int, int], row: int, column: int) -> float:
    """One pixel of a resized map, written out: pixel centres, border pixels repeated."""
    position = [
        (index + 0.5) * old / new - 0.5
        for index, old, new in zip((row, column), values.shape, shape, strict=True)
    ]
    total = 0.0
    for down in (0, 1):
        for right in (0, 1):
            corner = [math.floor(position[0]) + down, math.floor(position[1]) + right]
            weight = math.prod(1 - abs(place - at) for place, at in zip(position, corner, strict=True))
            inside = tuple(min(max(at, 0), old - 1) for at, old in zip(corner, values.shape, strict=True))
            total += weight * float(values[inside])
    return total


@pytest.mark.parametrize("shape", [(8, 9), (3, 4), (5, 20)])
@pytest.mark.parametrize(
    ("values", "tolerance"), [(GREY, 1.0), (DEEP, 0.51), (UNIT, 1e-6)], ids=["uint8", "uint16", "float64"]
)
def test_bilinear_resizing_against_single_pixels(
    values: np.ndarray, tolerance: float, shape: tuple[int, int]
) -> None:
    resized = fit_map(values, shape, "bilinear")
    assert (resized.shape, resized.dtype) == (shape, values.dtype)
    for row, column in [(0, 0), (1, 2), (shape[0] - 1, shape[1] - 2)]:
        assert float(resized[row, column]) == pytest.approx(
            bilinear(values, shape, row, column), abs=tolerance
        )


@pytest.mark.parametrize("values", [GREY, DEEP, UNIT], ids=["uint8", "uint16", "float64"])
def test_nearest_takes_the_pixel_under_the_centre(values: np.ndarray) -> None:
    resized = fit_map(values, (9, 4), "nearest")
    assert resized.dtype == values.dtype
    expected = [
        [values[math.floor((row + 0.5) * 5 / 9), math.floor((column + 0.5) * 7 / 4)] for column in range(4)]
        for row in range(9)
    ]
    np.testing.assert_array_equal(resized, expected)


def test_nearest_is_that_of_pillow() -> None:
    expected = np.asarray(Image.fromarray(GREY).resize((11, 13), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(fit_map(GREY, (13, 11), "nearest"), expected)


def test_a_map_that_fits_is_left_alone() -> None:
    assert fit_map(UNIT, (5, 7), "bilinear") is UNIT
