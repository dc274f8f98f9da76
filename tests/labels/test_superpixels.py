import numpy as np
import pytest

from atal_ray.config import RegionConfig
from atal_ray.labels.superpixels import superpixels

TINY = [(1, 1), (1, 300), (5, 300), (300, 7), (8, 8), (12, 12), (9, 17), (33, 47)]
THIN = [(8, 300), (300, 8), (13, 500), (500, 13), (30, 600), (8, 9000)]


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("asked", [1, 10, 100, 1000])
@pytest.mark.parametrize(("height", "width"), TINY + THIN)
def test_images_of_any_shape_get_superpixels(height: int, width: int, asked: int) -> None:
    found = superpixels(photo(height, width), RegionConfig(superpixels=asked, iterations=1))
    assert found.shape == (height, width)
    assert found.dtype == np.int32
    assert found.min() == 0
    assert found.max() < height * width


@pytest.mark.parametrize(("height", "width"), TINY)
def test_ids_of_small_images_are_dense(height: int, width: int) -> None:
    ids = np.unique(superpixels(photo(height, width), RegionConfig()))
    assert ids.tolist() == list(range(len(ids)))


@pytest.mark.parametrize(("height", "width"), [(12, 12), (33, 47), (96, 128)])
def test_equal_images_get_equal_superpixels(height: int, width: int) -> None:
    first, second = (superpixels(photo(height, width), RegionConfig()) for _ in range(2))
    assert np.array_equal(first, second)


def test_more_superpixels_are_smaller() -> None:
    counts = [
        len(np.unique(superpixels(photo(120, 160), RegionConfig(superpixels=asked))))
        for asked in (30, 200, 1000)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[1] < counts[2] <= 120 * 160 // 16


def test_an_edge_in_the_image_is_an_edge_of_superpixels() -> None:
    image = np.zeros((96, 96, 3), np.uint8)
    image[:, 43:] = 255  # off the block grid, so that blocks alone would not do
    found = superpixels(image, RegionConfig(superpixels=100))
    straddling = set(np.unique(found[:, :43])) & set(np.unique(found[:, 43:]))
    minority = sum(min((found[:, :43] == i).sum(), (found[:, 43:] == i).sum()) for i in straddling)
    assert minority <= 96  # less than a column of pixels on the wrong side


def test_a_side_below_eight_pixels_is_cut_into_blocks() -> None:
    found = superpixels(photo(5, 20), RegionConfig())
    assert [found[:, columns].tolist() for columns in (slice(0, 8), slice(8, 16), slice(16, 20))] == [
        [[0] * 8] * 5,
        [[1] * 8] * 5,
        [[2] * 4] * 5,
    ]
