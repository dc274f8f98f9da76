import numpy as np
import pytest
from pairs import every_kind, many_seeds, normalised, random_pair

from atal_ray.metrics.mae import mae


def naive_mae(saliency: np.ndarray, mask: np.ndarray) -> float:
    low, high = int(saliency.min()), int(saliency.max())
    total = 0.0
    for level, salient in zip(saliency.ravel().tolist(), mask.ravel().tolist(), strict=True):
        x = level / 255 if low == high else (level - low) / (high - low)
        total += abs(x - salient)
    return total / saliency.size


@pytest.mark.parametrize("seed", range(20))
def test_mae_is_the_mean_over_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 12, 2))
    saliency = rng.integers(rng.integers(0, 100), rng.integers(101, 256), shape).astype(np.uint8)
    mask = rng.random(shape) < rng.random()
    assert mae(saliency, mask) == pytest.approx(naive_mae(saliency, mask), abs=1e-14)


@pytest.mark.parametrize(
    ("saliency", "mask", "expected"),
    [
        ([[0, 255], [255, 0]], [[0, 1], [0, 0]], 0.25),
        ([[10, 30], [20, 10]], [[0, 1], [0, 0]], 0.125),  # stretched to 0, 1, 0.5, 0
        ([[0, 30], [0, 0]], [[0, 1], [0, 0]], 0.0),  # a faint map in the right order is perfect
        ([[0, 51]], [[0, 0]], 0.5),  # empty mask
        ([[0, 51]], [[1, 1]], 0.5),  # full mask
        ([[51, 51]], [[0, 0]], 0.2),  # a constant map is not stretched
        ([[51, 51]], [[1, 1]], 0.8),
        ([[0, 0]], [[0, 0]], 0.0),
        ([[255, 255]], [[1, 0]], 0.5),
    ],
)
def test_mae_by_hand(saliency: list[list[int]], mask: list[list[int]], expected: float) -> None:
    assert mae(np.array(saliency, np.uint8), np.array(mask, bool)) == expected


@every_kind
@many_seeds
def test_mae_of_any_dtype(seed: int, kind: str) -> None:
    saliency, mask = random_pair(seed, kind)
    assert mae(saliency, mask) == pytest.approx(np.abs(normalised(saliency) - mask).mean(), abs=1e-12)
