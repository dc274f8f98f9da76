from itertools import permutations
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atal_ray.labels.geometry import Geometry
from atal_ray.training.dense import dense_sample, jittered

AUGMENTS = ["crop", "rotate"]


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """An L with soft edges [90, 140]: it is not its own mirror image."""
    levels = np.zeros((90, 140), np.uint8)
    for margin, level in ((0, 80), (1, 160), (2, 255)):
        levels[10 + margin : 80 - margin, 20 + margin : 50 - margin] = level
        levels[55 + margin : 80 - margin, 20 + margin : 110 - margin] = level
    levels[57:78, 45:60] = 255
    return levels


@pytest.fixture(scope="module")
def image(mask: np.ndarray) -> np.ndarray:
    """Its red channel is the mask."""
    return np.stack([mask, np.full_like(mask, 60), np.full_like(mask, 60)], axis=2)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_sample_is_what_its_seed_says(image: np.ndarray, mask: np.ndarray, augment: Any) -> None:
    drawn: list[Any] = []
    for seed in (0, 0, 1):
        np.random.seed(len(drawn))  # noqa: NPY002  (no draw may come from here)
        drawn.append(dense_sample(image, mask, augment, 64, np.random.default_rng(seed)))
        square, target = drawn[-1]
        assert (square.shape, square.dtype) == ((64, 64, 3), np.uint8)
        assert (target.shape, target.dtype) == ((64, 64), np.float32)
        assert (target.min(), target.max()) == (0, 1)
    assert all(np.array_equal(*pair) for pair in zip(drawn[0], drawn[1], strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(drawn[0], drawn[2], strict=True))


def test_crop_keeps_soft_edges_under_the_same_geometry(image: np.ndarray, mask: np.ndarray) -> None:
    for seed in range(12):
        square, target = dense_sample(image, mask, "crop", 96, np.random.default_rng(seed))
        assert np.abs(square[..., 0] - 255.0 * target).max() <= 1  # the image is rounded to levels
        assert ((target > 0.05) & (target < 0.95)).sum() > 100
        assert np.array_equal(square, Geometry.random(90, 140, 96, np.random.default_rng(seed)).image(image))


def test_rotate_makes_the_mask_binary_under_the_same_geometry(image: np.ndarray, mask: np.ndarray) -> None:
    flips = 0
    for seed in range(12):
        square, target = dense_sample(image, mask, "rotate", 96, np.random.default_rng(seed))
        assert set(np.unique(target)) == {0, 1}
        seen = square[..., 0] > 128
        assert (seen != target).mean() < 0.02
        assert (seen != target[:, ::-1]).mean() > 0.1
        flips += target[:48, 48:].sum() > target[:48, :48].sum()
    assert 0 < flips < 12


def test_rotate_binarises_at_a_half() -> None:
    levels = np.full((80, 80), 127, np.uint8)
    levels[40:] = 128
    target = dense_sample(np.zeros((80, 80, 3), np.uint8), levels, "rotate", 80, np.random.default_rng(0))[1]
    assert target[10:20, 20:60].max() == 0
    assert target[60:70, 20:60].min() == 1


def test_rotate_takes_the_nearest_pixel_of_the_mask() -> None:
    stripes = np.zeros((160, 160), np.uint8)
    stripes[:, ::3] = 255  # their mean is below a half: blended, they would vanish
    black, rng = np.zeros((160, 160, 3), np.uint8), np.random.default_rng(0)
    _, target = dense_sample(black, stripes, "rotate", 80, rng)
    assert 0.25 < target[20:60, 20:60].mean() < 0.42
    dots = np.zeros((80, 80), np.uint8)
    dots[::3, ::3] = 255  # blended by the rotation, four in ten would vanish
    target = dense_sample(np.zeros((80, 80, 3), np.uint8), dots, "rotate", 80, np.random.default_rng(0))[1]
    assert target[20:60, 20:60].mean() == pytest.approx(1 / 9, rel=0.15)


def test_rotations_reach_ten_degrees_to_either_side_and_fill_black() -> None:
    white = np.full((101, 101, 3), 255, np.uint8)
    slopes = []
    for seed in range(200):
        halves = np.zeros((101, 101), np.uint8)
        halves[50:] = 255
        square, target = dense_sample(white, halves, "rotate", 101, np.random.default_rng(seed))
        left, right = (int(np.argmax(target[:, column])) for column in (20, 80))
        slopes.append(np.degrees(np.arctan2(right - left, 60)))
        assert abs(slopes[-1]) <= 10.5
        corners = square[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert abs(slopes[-1]) < 4 or corners.max() < 40  # black, but for the change of the contrast
    assert min(slopes) < -9
    assert max(slopes) > 9
    assert abs(np.mean(slopes)) < 1.5


def naive_jitter(pixels: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    values = pixels.astype(float)
    for index in order:
        grey = values @ np.array([0.299, 0.587, 0.114])
        anchor = [
            np.zeros_like(values),
            np.full_like(values, grey.mean()),
            np.repeat(grey[..., None], 3, axis=2),
        ][index]
        values = np.clip(anchor + factors[index] * (values - anchor), 0, 255)
    return values


def test_jitter_equals_the_formula_in_every_order() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    orders = set()
    for seed in range(40):
        copy = np.random.default_rng(seed)
        factors, order = copy.uniform(0.9, 1.1, 3), copy.permutation(3)
        orders.add(tuple(order.tolist()))
        found = np.asarray(jittered(Image.fromarray(pixels), np.random.default_rng(seed)))
        wrong = np.abs(found - naive_jitter(pixels, factors, order))
        assert wrong.max() < 3.5  # each of three operations rounds to levels
    assert orders == set(permutations(range(3)))


def test_soft_masks_keep_their_grey_levels_when_they_are_rotated() -> None:
    """Unknown pixels stay unknown; what the rotation uncovers is background."""
    image, mask = np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 128, np.uint8)
    mask[20:40, 20:40] = 255
    _, target = dense_sample(image, mask, "rotate", 64, np.random.default_rng(1), True)
    levels = set(np.rint(255 * np.unique(target)).astype(int).tolist())
    assert levels == {0, 128, 255}
    assert 0.8 < (np.rint(255 * target) == 128).mean() < 0.95
    _, binary = dense_sample(image, mask, "rotate", 64, np.random.default_rng(1))
    assert set(np.unique(binary).tolist()) == {0, 1}
