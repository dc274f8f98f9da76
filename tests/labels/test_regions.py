from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from properties import examples

from atal_ray.labels.points import UNSURE
from atal_ray.labels.regions import component, covered, region_labels

SHAPE = (23, 31)


def flood(superpixels: np.ndarray, x: int, y: int) -> np.ndarray:
    height, width = superpixels.shape
    found, queue = {(y, x)}, [(y, x)]
    while queue:
        row, column = queue.pop()
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= r < height and 0 <= c < width
            if inside and (r, c) not in found and superpixels[r, c] == superpixels[y, x]:
                found.add((r, c))
                queue.append((r, c))
    result = np.zeros((height, width), bool)
    for row, column in found:
        result[row, column] = True
    return result


def noisy(seed: int, ids: int = 3) -> np.ndarray:
    """Ids that fall into many parts, as the worst of SEEDS."""
    return np.random.default_rng(seed).integers(ids, size=SHAPE).astype(np.int32)


def clicks(seed: int, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cells = rng.choice(SHAPE[0] * SHAPE[1], count, replace=False)
    xy = np.stack([cells % SHAPE[1], cells // SHAPE[1]], axis=1).astype(np.int32)
    return xy, rng.choice([0, 1, UNSURE], count).astype(np.uint8)


@pytest.fixture
def halves() -> np.ndarray:
    """Superpixel 0 on the left, 1 on the right, and a second part of 0 in the far corner."""
    superpixels = np.zeros(SHAPE, np.int32)
    superpixels[:, 15:] = 1
    superpixels[20:, 28:] = 0
    return superpixels


@pytest.mark.parametrize("seed", range(5))
def test_component_equals_the_flood_fill(seed: int) -> None:
    superpixels = noisy(seed, ids=2 + seed)
    for x, y in [(0, 0), (30, 22), (0, 22), (30, 0), *clicks(seed)[0].tolist()]:
        assert np.array_equal(component(superpixels, x, y), flood(superpixels, x, y))


def test_component_of_a_u_does_not_jump_its_gap_nor_a_corner() -> None:
    superpixels = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]], np.int32)
    assert component(superpixels, 0, 0).tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert component(superpixels, 2, 0).sum() == 2
    assert component(superpixels, 2, 3).sum() == 1


@pytest.mark.parametrize("seed", range(4))
def test_covered_equals_the_union_of_the_components(seed: int) -> None:
    superpixels, (xy, _) = noisy(seed), clicks(seed)
    union = np.zeros(SHAPE, bool)
    for x, y in xy.tolist():
        union |= flood(superpixels, x, y)
    assert np.array_equal(covered(superpixels, xy, SHAPE), union)
    pixels = np.zeros(SHAPE, bool)
    pixels[xy[:, 1], xy[:, 0]] = True
    assert np.array_equal(covered(None, xy, SHAPE), pixels)
    assert not covered(superpixels, xy[:0], SHAPE).any()


@pytest.mark.parametrize("seed", range(4))
def test_propagate_equals_the_loop_over_clicks(seed: int) -> None:
    superpixels, (xy, labels) = noisy(seed), clicks(seed)
    expected = np.full(SHAPE, UNSURE, np.uint8)
    for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
        if label != UNSURE:
            expected[flood(superpixels, x, y)] = label
    for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
        expected[y, x] = label
    assert np.array_equal(region_labels(superpixels, xy, labels, SHAPE, "propagate"), expected)


def test_only_the_part_that_was_clicked_is_labelled(halves: np.ndarray) -> None:
    found = region_labels(halves, np.array([[3, 3]]), np.array([1], np.uint8), SHAPE, "propagate")
    assert (found[:, :15] == 1).all()
    assert (found[:, 15:] == UNSURE).all()


def test_a_later_click_wins_and_the_earlier_one_keeps_its_pixel(halves: np.ndarray) -> None:
    xy, labels = np.array([[3, 3], [4, 9]]), np.array([1, 0], np.uint8)
    found = region_labels(halves, xy, labels, SHAPE, "propagate")
    assert found[3, 3] == 1
    assert (found[:, :15] == 0).sum() == 23 * 15 - 1
    reversed_order = region_labels(halves, xy[::-1], labels[::-1], SHAPE, "propagate")
    assert reversed_order[9, 4] == 0
    assert (reversed_order[:, :15] == 1).sum() == 23 * 15 - 1


def test_an_unsure_click_labels_nothing_and_takes_its_own_pixel_out(halves: np.ndarray) -> None:
    xy, labels = np.array([[3, 3], [4, 9]]), np.array([1, UNSURE], np.uint8)
    found = region_labels(halves, xy, labels, SHAPE, "propagate")
    assert found[9, 4] == UNSURE
    assert (found[:, :15] == 1).sum() == 23 * 15 - 1
    assert covered(halves, xy[1:], SHAPE)[:, :15].all()  # asked once is enough


def test_none_labels_the_pixels_alone(halves: np.ndarray) -> None:
    xy, labels = clicks(7)
    expected = np.full(SHAPE, UNSURE, np.uint8)
    for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
        expected[y, x] = label
    for superpixels in (None, halves):
        assert np.array_equal(region_labels(superpixels, xy, labels, SHAPE, "none"), expected)


def test_oracle_mask_copies_the_mask_into_the_component(halves: np.ndarray) -> None:
    mask = np.random.default_rng(1).random(SHAPE) < 0.5
    xy, labels = np.array([[3, 3]]), np.array([mask[3, 3]], np.uint8)
    found = region_labels(halves, xy, labels, SHAPE, "oracle_mask", mask)
    assert np.array_equal(found[:, :15], mask[:, :15])
    assert (found[:, 15:] == UNSURE).all()


@pytest.mark.parametrize("mode", ["propagate", "none"])
def test_only_the_modes_of_the_mask_look_at_it(halves: np.ndarray, mode: Any) -> None:
    xy, labels = clicks(5)
    mask = np.random.default_rng(5).random(SHAPE) < 0.5
    blind = region_labels(halves, xy, labels, SHAPE, mode)
    assert np.array_equal(region_labels(halves, xy, labels, SHAPE, mode, mask), blind)


def test_dense_is_the_whole_mask_with_or_without_clicks(halves: np.ndarray) -> None:
    mask = np.random.default_rng(2).random(SHAPE) < 0.5
    for count in (0, 5):
        xy, labels = clicks(3, count)
        assert np.array_equal(region_labels(None, xy, labels, SHAPE, "dense", mask), mask)


@pytest.mark.parametrize("mode", ["propagate", "none", "oracle_mask"])
def test_no_clicks_label_nothing(halves: np.ndarray, mode: Any) -> None:
    xy, labels = clicks(0, 0)
    assert (region_labels(halves, xy, labels, SHAPE, mode, np.ones(SHAPE, bool)) == UNSURE).all()


@st.composite
def clicked_images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Superpixels in many parts, clicks on different pixels, and their labels."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=8))
    superpixels = draw(arrays(np.int32, shape, elements=st.integers(0, 2)))
    pixels = st.tuples(st.integers(0, shape[1] - 1), st.integers(0, shape[0] - 1))
    xy = draw(st.lists(pixels, max_size=6, unique=True))
    labels = draw(st.lists(st.sampled_from([0, 1, UNSURE]), min_size=len(xy), max_size=len(xy)))
    return superpixels, np.array(xy, np.int32).reshape(-1, 2), np.array(labels, np.uint8)


@examples
@given(clicked_images())
def test_each_pixel_has_the_label_of_the_last_sure_click_in_its_part(
    image: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    superpixels, xy, labels = image
    shape = superpixels.shape
    found = region_labels(superpixels, xy, labels, shape, "propagate")
    clicks = list(zip(map(tuple, xy.tolist()), labels.tolist(), strict=True))
    own, parts = dict(clicks), {(x, y): flood(superpixels, x, y) for (x, y), _ in clicks}
    for y, x in np.ndindex(*shape):
        sure = [label for pixel, label in clicks if label != UNSURE and parts[pixel][y, x]]
        assert found[y, x] == own.get((x, y), sure[-1] if sure else UNSURE)
    labelled = covered(superpixels, xy, shape)
    assert labelled[found != UNSURE].all()
    assert np.array_equal(covered(superpixels, xy[::-1], shape), labelled)  # in any order
    alone = region_labels(None, xy, labels, shape, "none")
    assert {(x, y): int(alone[y, x]) for x, y in xy.tolist()} == own
    assert (alone != UNSURE).sum() == (labels != UNSURE).sum()


@examples
@given(clicked_images(), st.randoms(use_true_random=False))
def test_the_copied_mask_is_right_wherever_it_is_known(
    image: tuple[np.ndarray, np.ndarray, np.ndarray], random: Random
) -> None:
    superpixels, xy, _ = image
    mask = np.array([[random.random() < 0.5 for _ in row] for row in superpixels])
    labels = mask[xy[:, 1], xy[:, 0]].astype(np.uint8)
    found = region_labels(superpixels, xy, labels, mask.shape, "oracle_mask", mask)
    assert np.array_equal(found != UNSURE, covered(superpixels, xy, mask.shape))
    assert np.array_equal(found[found != UNSURE], mask[found != UNSURE])
