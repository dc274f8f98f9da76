"""CSET: the greedy cover against a naive one, and the sample of labelled features it begins with."""

import numpy as np
import torch
from round_data import SIZE, InMemory

from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.methods.cset import CoreSet, CoreSetConfig, farthest_first, labelled_features
from atal_ray.acquisition.pick import PixelPool
from atal_ray.acquisition.seen import Seen
from atal_ray.config import QueryConfig

RNG = np.random.default_rng(2)


def naive(vectors: np.ndarray, centres: np.ndarray, k: int) -> list[int]:
    """Flat k-center: the farthest vector from all centres, again and again."""
    chosen: list[int] = []
    for _ in range(min(k, len(vectors))):
        known = [*centres, *(vectors[number] for number in chosen)]
        distances = [
            -1.0
            if number in chosen
            else min(float(np.linalg.norm(v - c)) for c in known)
            if known
            else np.inf
            for number, v in enumerate(vectors)
        ]
        chosen.append(int(np.argmax(distances)))
    return chosen


def test_it_covers_as_flat_k_center_does() -> None:
    for trial in range(10):
        rng = np.random.default_rng(trial)
        vectors = rng.normal(size=(40, 5)).astype(np.float32)
        centres = rng.normal(size=(trial, 5)).astype(np.float32)
        assert farthest_first(vectors, centres, 6).tolist() == naive(vectors, centres, 6)
    assert sorted(farthest_first(vectors, centres, 100)) == list(range(40))


def test_its_sample_is_of_labelled_pixels_of_no_more_images_than_needed() -> None:
    data = InMemory(images=9, points=3)
    (network,) = data.networks
    every = np.concatenate([labelled_features(network, batch) for batch in data.batches()])
    data.asked.clear()
    found = CoreSet(QueryConfig(), CoreSetConfig(centres=4)).fit(data)["centres"].numpy()
    assert found.shape == (4, network.feature_channels)
    assert len(data.asked) == 4
    assert all((abs(every - vector).max(1) < 1e-6).any() for vector in found)
    assert CoreSet(QueryConfig(), CoreSetConfig()).fit(data)["centres"].shape[0] == 27


def test_features_of_labelled_pixels_are_bilinear_samples() -> None:
    data = InMemory()
    batch = next(data.batches())
    features = data.networks[0].saliency(batch.images)[1].numpy()
    expected = [
        sample_bilinear(features[of], cell[None], SIZE)[0]
        for of, cell in zip(batch.of_image, batch.cells, strict=True)
    ]
    np.testing.assert_allclose(labelled_features(data.networks[0], batch), expected, rtol=1e-6)


def asked(free: np.ndarray, k: int, centres: np.ndarray) -> list[tuple[int, int]]:
    """Pixels of a 16 x 16 image whose features are four cells to a side."""
    strategy = CoreSet(QueryConfig(), CoreSetConfig())
    strategy.state = {"centres": torch.from_numpy(centres)}
    features = np.arange(16, dtype=np.float32).reshape(1, 4, 4) ** 1.5
    pool = PixelPool(SIZE, SIZE, free, np.full((SIZE, SIZE), -1, np.int32), np.array([[2, 2]], np.int32))
    pick = strategy(pool, Seen(np.zeros((SIZE, SIZE), np.float32), features=features), k, RNG)
    return [(int(x), int(y)) for x, y in pick.xy]


def test_it_asks_for_the_middles_of_feature_cells_far_from_what_is_labelled() -> None:
    free = np.ones((SIZE, SIZE), bool)
    none = np.empty((0, 1), np.float32)
    (first,) = asked(free, 1, none)
    assert first == (14, 14)  # the largest feature; the labelled pixel has the smallest
    (other,) = asked(free, 1, np.array([[15**1.5]], np.float32))
    assert other != first  # the shared centres cover that one


def test_where_the_middles_are_taken_random_pixels_follow() -> None:
    free = np.zeros((SIZE, SIZE), bool)
    free[0, :5] = True
    found = asked(free, 4, np.empty((0, 1), np.float32))
    assert len(set(found)) == 4
    assert all(y == 0 and x < 5 for x, y in found)
