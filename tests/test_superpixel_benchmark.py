"""The measures of superpixels against naive forms, and the ways to cut that are compared by them."""

import itertools

import cv2
import numpy as np
import pytest
import superpixel_measures as measures
import superpixels as benchmark
from superpixel_variants import VARIANTS, border_pixels_by_colour, doubled, halved

from atal_ray.labels.regions import component

RNG = np.random.default_rng(0)
IDS = (RNG.integers(0, 3, (11, 14)) + 3 * (np.arange(14) // 5)).astype(np.int32)
MASK = cv2.circle(np.zeros((11, 14), np.uint8), (6, 5), 3, 1, -1) > 0
PIXELS = list(itertools.product(range(11), range(14)))


def is_border(values: np.ndarray, y: int, x: int) -> bool:
    around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return any(values[at] != values[y, x] for at in around if at in PIXELS)


def test_parts_are_those_that_a_click_labels() -> None:
    parts = measures.connected_parts(IDS)
    assert np.unique(parts).tolist() == list(range(parts.max() + 1))
    for y, x in PIXELS:
        assert np.array_equal(parts == parts[y, x], component(IDS, x, y))


def test_boundary_recall_is_that_of_the_plain_form() -> None:
    ids = np.where(np.arange(14) < 4, 0, 1)[None].repeat(11, axis=0).astype(np.int32)
    sought = [at for at in PIXELS if is_border(MASK, *at)]
    ours = [at for at in PIXELS if is_border(ids, *at)]
    found = [any(max(abs(y - v), abs(x - u)) <= measures.TOLERANCE for v, u in ours) for y, x in sought]
    assert 0 < sum(found) < len(found)
    assert measures.boundary_recall(ids, MASK) == sum(found) / len(found)
    assert measures.boundary_recall(ids, np.zeros_like(MASK)) == 1


def test_achievable_accuracy_is_that_of_the_plain_form() -> None:
    ids = IDS
    right = sum(max(MASK[ids == one].sum(), (~MASK[ids == one]).sum()) for one in np.unique(ids))
    assert measures.achievable_accuracy(IDS, MASK) == right / MASK.size < 1


@pytest.mark.parametrize("clicks", [np.ones_like(MASK), measures.within(measures.border(MASK), 1)])
def test_wrong_share_is_that_of_clicks_one_by_one(clicks: np.ndarray) -> None:
    wrong = labelled = 0
    for y, x in zip(*np.nonzero(clicks), strict=True):
        region = component(IDS, int(x), int(y))
        labelled += region.sum()
        wrong += (MASK[region] != MASK[y, x]).sum()
    assert measures.wrong_share(measures.connected_parts(IDS), MASK, clicks) == wrong / labelled > 0


def test_wrong_share_of_some_clicks_counts_what_the_package_labels() -> None:
    halves = np.where(np.arange(14) < 7, 0, 1)[None].repeat(11, axis=0).astype(np.int32)
    left = halves == 0
    share = measures.clicked_wrong_share(halves, MASK, np.array([[0, 0], [1, 0]]))
    assert share == MASK[left].mean() > 0


def test_superpixels_of_the_mask_itself_are_perfect() -> None:
    ids = MASK.astype(np.int32)
    assert measures.boundary_recall(ids, MASK) == measures.achievable_accuracy(ids, MASK) == 1
    assert measures.wrong_share(measures.connected_parts(ids), MASK, np.ones_like(MASK)) == 0


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_cuts_an_image_of_odd_sides(name: str) -> None:
    image = cv2.GaussianBlur(RNG.integers(0, 256, (95, 121, 3), np.uint8), (0, 0), 3)
    ids = VARIANTS[name](image)
    assert ids.shape == (95, 121)
    assert ids.dtype == np.int32
    assert ids.min() >= 0
    assert len(np.unique(ids)) > 10


def test_border_pixels_go_to_the_nearest_colour() -> None:
    image = np.zeros((12, 12, 3), np.uint8)
    image[:, 5:] = 200  # an odd column: half the resolution cannot follow it
    small = np.where(np.arange(6) < 3, 0, 1)[None].repeat(6, axis=0).astype(np.int32)
    assert not np.array_equal(doubled(small, image), np.arange(12)[None].repeat(12, axis=0) >= 5)
    found = border_pixels_by_colour(doubled(small, image), image, small, halved(image))
    assert np.array_equal(found, np.arange(12)[None].repeat(12, axis=0) >= 5)


def test_a_measure_is_equal_within_a_percent_of_the_default() -> None:
    default = np.array([0.5, 0.4, 0.6])
    assert benchmark.compared(default * 0.991, default, worse=-1)["equal"]
    assert not benchmark.compared(default * 0.989, default, worse=-1)["equal"]
    assert benchmark.compared(default * 0.989, default, worse=1)["surely_equal"]
    noisy = benchmark.compared(default + np.array([0.1, -0.1, 0]), default, worse=1)
    assert noisy["equal"]
    assert not noisy["surely_equal"]
    assert noisy["standard_error"] == pytest.approx(0.1 / 3**0.5)
