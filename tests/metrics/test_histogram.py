import numpy as np
import pytest

from atal_ray.errors import DataError
from atal_ray.metrics.histogram import joint_histogram, stretch


def test_histogram_counts_each_pixel_by_level_and_side() -> None:
    rng = np.random.default_rng(0)
    saliency = rng.integers(0, 256, (7, 9)).astype(np.uint8)
    mask = rng.random((7, 9)) < 0.4
    naive = np.zeros((2, 256), int)
    for row in range(7):
        for column in range(9):
            naive[int(mask[row, column]), saliency[row, column]] += 1
    np.testing.assert_array_equal(joint_histogram(saliency, mask), naive)


@pytest.mark.parametrize(
    ("levels", "expected"), [([10, 30, 20], (10, 20)), ([0, 255, 9], (0, 255)), ([77, 77, 77], (0, 255)), ([0, 0, 0], (0, 255))]
)
def test_stretch_spans_the_levels_unless_the_map_is_constant(levels: list[int], expected: tuple[int, int]) -> None:
    assert stretch(joint_histogram(np.array([levels], np.uint8), np.array([[True, False, False]]))) == expected


@pytest.mark.parametrize(
    ("saliency", "mask", "sentence"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), bool), "float32.*expected uint8"),
        (np.zeros((2, 3, 1), np.uint8), np.zeros((2, 3), bool), r"uint8 \[2, 3, 1\].*expected uint8 \[H, W\]"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8), "mask is uint8.*binarise"),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), bool), "resize the map"),
        (np.zeros((0, 3), np.uint8), np.zeros((0, 3), bool), "no pixel"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(saliency: np.ndarray, mask: np.ndarray, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        joint_histogram(saliency, mask)
