from math import exp, log

import cv2
import numpy as np
import pytest
from pairs import every_kind, many_seeds, normalised, random_pair

from atal_ray.metrics.weighted import squared_distance_map, weighted_f


def naive_weighted_f(saliency: np.ndarray, mask: np.ndarray) -> float:
    """The definition, pixel by pixel: nearest object pixel by search, window by loops."""
    x, (height, width) = normalised(saliency), mask.shape
    objects = sorted(
        ((r, c) for r in range(height) for c in range(width) if mask[r, c]),
        key=lambda place: (place[1], place[0]),
    )
    if not objects:
        return 0.0
    window = np.array([[exp(-(r * r + c * c) / 50) for c in range(-3, 4)] for r in range(-3, 4)])
    window /= window.sum()
    spread_from, distance = np.empty(mask.shape), np.zeros(mask.shape)
    for r in range(height):
        for c in range(width):
            near = min(
                objects, key=lambda place: (place[0] - r) ** 2 + (place[1] - c) ** 2
            )  # the first of several
            spread_from[r, c] = 1 - x[near]
            distance[r, c] = ((near[0] - r) ** 2 + (near[1] - c) ** 2) ** 0.5
    padded = np.pad(spread_from, 3)
    missed = false_alarms = 0.0
    for r in range(height):
        for c in range(width):
            if mask[r, c]:
                missed += min(1 - x[r, c], float((padded[r : r + 7, c : c + 7] * window).sum()))
            else:
                false_alarms += x[r, c] * (2 - exp(log(0.5) / 5 * distance[r, c]))
    hits = len(objects) - missed
    precision, recall = hits / (hits + false_alarms + np.spacing(1)), 1 - missed / len(objects)
    return 2 * precision * recall / (precision + recall + np.spacing(1))


@every_kind
@many_seeds
def test_equals_the_definition(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind)
    assert weighted_f(saliency, mask) == pytest.approx(naive_weighted_f(saliency, mask), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_definition_where_objects_are_round_and_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (26, 31)
    mask = cv2.GaussianBlur(rng.random(shape), (0, 0), 3) > 0.53
    saliency = cv2.GaussianBlur(rng.integers(0, 256, shape).astype(np.uint8), (0, 0), 1)
    assert mask.any()
    assert weighted_f(saliency, mask) == pytest.approx(naive_weighted_f(saliency, mask), abs=1e-12)


def test_squared_distance_map_are_whole_and_exact() -> None:
    mask = np.zeros((40, 700), bool)
    mask[3, 2] = True
    rows, columns = np.mgrid[:40, :700]
    expected = np.minimum((rows - 3) ** 2 + (columns - 2) ** 2, 2**16 - 1)
    np.testing.assert_array_equal(squared_distance_map(mask), expected)


@pytest.mark.parametrize(
    ("saliency", "mask", "expected"),
    [
        ([[0, 255], [0, 0]], [[0, 1], [0, 0]], 1.0),
        ([[0, 0]], [[0, 0]], 0.0),  # an empty mask scores 0, whatever the map
        ([[255, 255]], [[1, 1]], 1.0),
    ],
)
def test_by_hand(saliency: list[list[int]], mask: list[list[int]], expected: float) -> None:
    assert weighted_f(np.array(saliency, np.uint8), np.array(mask, bool)) == pytest.approx(
        expected, abs=1e-12
    )
