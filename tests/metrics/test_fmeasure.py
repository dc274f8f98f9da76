import numpy as np
import pytest
from pairs import every_kind, many_seeds, normalised, random_pair

from atal_ray.metrics.fmeasure import f_adaptive, f_curve, max_f, pr_curve


def naive_pr_curve(saliency: np.ndarray, mask: np.ndarray) -> tuple[list[float], list[float]]:
    values = saliency / 255
    if values.max() > values.min():
        values = (values - values.min()) / (values.max() - values.min())
    levels = np.floor(values * 255)
    precision, recall = [], []
    for threshold in range(256):
        hits = found = 0
        for level, salient in zip(levels.ravel(), mask.ravel(), strict=True):
            found += level >= threshold
            hits += level >= threshold and salient
        precision.append(hits / found if found else 0.0)
        recall.append(hits / mask.sum() if mask.any() else 0.0)
    return precision, recall


@pytest.mark.parametrize("seed", range(12))
def test_curve_is_a_count_at_each_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, 2))
    saliency = rng.integers(rng.integers(0, 100), rng.integers(101, 256), shape).astype(np.uint8)
    mask = rng.random(shape) < rng.random()
    precision, recall = pr_curve(saliency, mask)
    naive = naive_pr_curve(saliency, mask)
    np.testing.assert_array_equal(precision, naive[0])
    np.testing.assert_array_equal(recall, naive[1])


def test_levels_of_a_full_range_map_are_its_thresholds() -> None:
    precision, recall = pr_curve(np.arange(256, dtype=np.uint8)[None], np.ones((1, 256), bool))
    np.testing.assert_array_equal(recall, np.arange(256, 0, -1) / 256)
    np.testing.assert_array_equal(precision, np.ones(256))


def test_curve_by_hand() -> None:
    precision, recall = pr_curve(
        np.array([[10, 30], [20, 10]], np.uint8), np.array([[False, True], [True, True]])
    )
    # stretched and floored: 0, 255, 127, 0
    assert (precision[0], recall[0]) == (3 / 4, 1)
    assert set(zip(precision[1:128], recall[1:128], strict=True)) == {(1, 2 / 3)}
    assert set(zip(precision[128:], recall[128:], strict=True)) == {(1, 1 / 3)}


@pytest.mark.parametrize("level", [0, 51])
def test_empty_mask_scores_zero_even_for_an_empty_map(level: int) -> None:
    precision, recall = pr_curve(np.full((2, 2), level, np.uint8), np.zeros((2, 2), bool))
    assert not precision.any()
    assert not recall.any()


def test_constant_map_is_not_stretched() -> None:
    precision, recall = pr_curve(np.full((2, 2), 51, np.uint8), np.array([[True, False], [False, False]]))
    np.testing.assert_array_equal(precision, [0.25] * 52 + [0] * 204)
    np.testing.assert_array_equal(recall, [1] * 52 + [0] * 204)


def test_max_f_is_the_best_threshold() -> None:
    rng = np.random.default_rng(3)
    precision, recall = rng.random(256), rng.random(256)
    precision[7] = recall[7] = 0
    naive = max(1.3 * p * r / (0.3 * p + r) if p + r else 0.0 for p, r in zip(precision, recall, strict=True))
    assert max_f(precision, recall) == pytest.approx(naive, abs=1e-15)


def test_max_f_by_hand() -> None:
    precision, recall = np.zeros(256), np.zeros(256)
    assert max_f(precision, recall) == 0
    precision[100], recall[100] = 0.5, 1.0
    assert max_f(precision, recall) == pytest.approx(1.3 * 0.5 / 1.15)


@every_kind
@many_seeds
def test_f_of_one_image_is_that_of_its_binary_maps(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind)
    x = normalised(saliency)

    def naive_f(binary: np.ndarray) -> float:
        hits = int((binary & mask).sum())
        if hits == 0:
            return 0.0
        precision, recall = hits / int(binary.sum()), hits / int(mask.sum())
        return 1.3 * precision * recall / (0.3 * precision + recall)

    levels = np.floor(x * 255)
    expected = [naive_f(levels >= threshold) for threshold in range(256)]
    np.testing.assert_allclose(f_curve(saliency, mask), expected, rtol=1e-14)
    assert f_adaptive(saliency, mask) == pytest.approx(naive_f(x >= min(2 * x.mean(), 1)), rel=1e-14)
