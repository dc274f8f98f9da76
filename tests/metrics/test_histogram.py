import numpy as np
import pytest
from pairs import every_kind, many_seeds, normalised, random_pair

from atal_ray.errors import DataError
from atal_ray.metrics.histogram import tally


@every_kind
@many_seeds
def test_tally_counts_each_pixel_by_level_and_side(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind)
    found, x = tally(saliency, mask), normalised(saliency)
    assert (found.background, found.salient, found.pixels) == ((~mask).sum(), mask.sum(), mask.size)
    values = found.levels / found.span
    for side in (0, 1):
        counted = np.repeat(values, found.counts[side])
        np.testing.assert_allclose(counted, np.sort(x[mask == side]), atol=1e-12)
    assert found.total / found.span == pytest.approx(x.sum(), abs=1e-9)


@every_kind
@many_seeds
def test_binary_maps_are_those_of_the_thresholds(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind)
    found, x = tally(saliency, mask), normalised(saliency)
    for threshold in range(256):
        taken = np.floor(x * 255) >= threshold
        assert found.at_least[:, threshold].tolist() == [(taken & ~mask).sum(), (taken & mask).sum()]
    soft = saliency > 0
    assert found.nonzero[:, 0].tolist() == [(soft & ~mask).sum(), (soft & mask).sum()]
    adaptive = x >= min(2 * x.mean(), 1)
    assert found.adaptive[:, 0].tolist() == [(adaptive & ~mask).sum(), (adaptive & mask).sum()]


def test_adaptive_threshold_is_exact_for_integer_maps() -> None:
    """Maps of 0, `level` and 255 whose mean is half of `level`: that level reaches the threshold, whatever
    floats make of it.
    """
    misled = 0
    for level in range(1, 255):
        # p pixels of the level, w white and z black ones: 2 (p level + 255 w) = level (p + w + z)
        w, z = level, 510
        p = z + w - 2 * 255 * w // level
        assert p > 0
        saliency = np.repeat(np.array([0, level, 255], np.uint8), [z, p, w])[None]
        mask = saliency > 0
        assert 2 * int(saliency.sum(dtype=np.int64)) == level * saliency.size
        assert tally(saliency, mask).adaptive.tolist() == [[0], [p + w]]
        x = saliency / 255
        misled += int((x >= 2 * x.mean()).sum()) != p + w
    assert misled  # otherwise the test would show nothing


def test_quadrants_split_after_the_centroid_and_cover_the_image() -> None:
    rng = np.random.default_rng(1)
    saliency = rng.integers(0, 256, (6, 7)).astype(np.uint8)
    mask = np.zeros((6, 7), bool)
    mask[1:3, 4] = True  # centroid at row 1.5, to even: 2, and column 4
    found = tally(saliency, mask)
    assert found.quadrants.sum(axis=(1, 2)).tolist() == [3 * 5, 3 * 2, 3 * 5, 3 * 2]
    part = found.quadrants[1]
    for level in range(256):
        inside = saliency[:3, 5:] == level
        assert part[:, level].tolist() == [(inside & ~mask[:3, 5:]).sum(), (inside & mask[:3, 5:]).sum()]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [([10, 30, 20], (-10, 20)), ([0, 255, 9], (0, 255)), ([77, 77, 77], (0, 255)), ([0, 0, 0], (0, 255))],
)
def test_maps_are_stretched_unless_constant(levels: list[int], expected: tuple[int, int]) -> None:
    found = tally(np.array([levels], np.uint8), np.array([[True, False, False]]))
    assert (found.levels[0], found.span) == expected


@pytest.mark.parametrize(
    ("saliency", "mask", "sentence"),
    [
        (np.zeros((2, 3), np.int32), np.zeros((2, 3), bool), "int32.*expected uint8, uint16 or float"),
        (np.zeros((2, 3, 1), np.uint8), np.zeros((2, 3), bool), r"uint8 \[2, 3, 1\].*expected uint8"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8), "mask is uint8.*binarise"),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), bool), "resize the map"),
        (np.zeros((0, 3), np.uint8), np.zeros((0, 3), bool), "no pixel"),
        (np.full((2, 3), 1.5), np.zeros((2, 3), bool), r"NaN or outside \[0, 1\]"),
        (np.full((2, 3), np.nan), np.zeros((2, 3), bool), r"NaN or outside \[0, 1\]"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(
    saliency: np.ndarray, mask: np.ndarray, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        tally(saliency, mask)
