from math import floor

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from atal_ray.acquisition.features import sample_bilinear
from atal_ray.errors import DataError

SIZE = 32


@pytest.fixture
def positions() -> np.ndarray:
    rng = np.random.default_rng(2)
    inside = rng.uniform(-0.5, SIZE - 0.5, (40, 2))
    border = np.array([[-0.5, -0.5], [SIZE - 0.5, SIZE - 0.5], [0, SIZE - 1], [-0.5, 12.25], [31.4, 3]])
    return np.concatenate([inside, border])


def feature_map(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(4, height, width)).astype(np.float32)


def naive(features: np.ndarray, x: float, y: float) -> list[float]:
    channels, height, width = features.shape
    x, y = (x + 0.5) * width / SIZE - 0.5, (y + 0.5) * height / SIZE - 0.5
    values = [0.0] * channels
    for row in (floor(y), floor(y) + 1):
        for column in (floor(x), floor(x) + 1):
            weight = (1 - abs(y - row)) * (1 - abs(x - column))
            clamped = features[:, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            values = [value + weight * float(one) for value, one in zip(values, clamped, strict=True)]
    return values


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 32), (32, 32), (5, 1)])
def test_equals_grid_sample_and_the_loop(positions: np.ndarray, height: int, width: int) -> None:
    features = feature_map(height, width)
    sampled = sample_bilinear(features, positions, SIZE)
    assert sampled.shape == (len(positions), 4)
    assert sampled.dtype == np.float32
    normalised = torch.from_numpy((positions + 0.5) * 2 / SIZE - 1).float()[None, None]
    reference = grid_sample(
        torch.from_numpy(features)[None], normalised, align_corners=False, padding_mode="border"
    )
    np.testing.assert_allclose(sampled, reference[0, :, 0].T.numpy(), atol=2e-5)
    np.testing.assert_allclose(sampled, [naive(features, x, y) for x, y in positions], atol=2e-6)


def test_tensors_and_arrays_agree_to_the_bit(positions: np.ndarray) -> None:
    features = feature_map(8, 11)
    tensor = torch.from_numpy(features).requires_grad_()
    assert np.array_equal(
        sample_bilinear(tensor, positions, SIZE), sample_bilinear(features, positions, SIZE)
    )


def test_cell_centres_of_a_full_resolution_map_are_its_values() -> None:
    features = feature_map(SIZE, SIZE)
    xy = np.array([[3, 7], [0, 0], [31, 31]], dtype=np.float64)
    assert np.array_equal(sample_bilinear(features, xy, SIZE), features[:, [7, 0, 31], [3, 0, 31]].T)


def test_no_position_gives_no_row() -> None:
    assert sample_bilinear(feature_map(8, 8), np.empty((0, 2)), SIZE).shape == (0, 4)


def test_refuses_a_batch_of_maps() -> None:
    with pytest.raises(DataError, match=r"\[C, h, w\]"):
        sample_bilinear(feature_map(8, 8)[None], np.zeros((1, 2)), SIZE)
