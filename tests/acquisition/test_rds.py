from itertools import combinations
from math import dist, sqrt
from typing import Any, get_args

import numpy as np
import pytest

from atal_ray.acquisition.rds import (
    FLAT,
    cover_kcenter,
    cover_maxsum,
    mean_similarity,
    nearest_similarity,
    select,
    unit_vectors,
)
from atal_ray.config.query import Cover, Similarity
from atal_ray.errors import DataError

COVERS = get_args(Cover)


def positions_of(seed: int, count: int, dimensions: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).random((count, dimensions))


def naive_cover(positions: np.ndarray, m: int, start: int, cover: str) -> list[int]:
    chosen = [start]
    while len(chosen) < min(m, len(positions)):
        best, best_value = -1, -1.0
        for u in range(len(positions)):
            if u in chosen:
                continue
            distances = [dist(positions[u], positions[v]) for v in chosen]
            value = sum(distances) if cover == "maxsum" else min(distances)
            if value > best_value:
                best, best_value = u, value
        chosen.append(best)
    return chosen


def naive_phi(feature: np.ndarray, labelled: np.ndarray) -> float:
    total = 0.0
    for other in labelled:
        product = norm = norm_other = 0.0
        for a, b in zip(feature.tolist(), other.tolist(), strict=True):
            product, norm, norm_other = product + a * b, norm + a * a, norm_other + b * b
        total += product / sqrt(norm * norm_other) if norm and norm_other else 0.0
    return total / len(labelled) if len(labelled) else 0.0


def naive_nearest(feature: np.ndarray, labelled: np.ndarray) -> float:
    return max((naive_phi(feature, other[None]) for other in labelled), default=0.0)


def radius(positions: np.ndarray, chosen: list[int] | tuple[int, ...]) -> float:
    return max(min(dist(p, positions[v]) for v in chosen) for p in positions)


@pytest.mark.parametrize("dimensions", [1, 2, 8])
@pytest.mark.parametrize(("cover", "function"), [("kcenter", cover_kcenter), ("maxsum", cover_maxsum)])
def test_algorithm_1_equals_the_loop(cover: str, function: Any, dimensions: int) -> None:
    for seed in range(4):
        positions = positions_of(seed, 40, dimensions)
        assert function(positions, 12, start=seed).tolist() == naive_cover(positions, 12, seed, cover)
        assert function(positions, 12).tolist()[0] == 0


def test_greedy_kcenter_is_within_twice_the_best_radius() -> None:
    for seed in range(20):
        positions = positions_of(seed, 9)
        best = min(radius(positions, chosen) for chosen in combinations(range(9), 3))
        assert radius(positions, cover_kcenter(positions, 3).tolist()) <= 2 * best


def test_kcenter_covers_a_band_better_than_the_printed_sum() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 500)
    band = np.stack([150 * np.cos(angle), 50 * np.sin(angle)], axis=1) + rng.normal(0, 2, (500, 2))
    assert radius(band, cover_kcenter(band, 20).tolist()) < 0.6 * radius(
        band, cover_maxsum(band, 20).tolist()
    )


@pytest.mark.parametrize("function", [cover_kcenter, cover_maxsum])
def test_duplicates_are_picked_once_and_m_beyond_n_gives_all(function: Any) -> None:
    same = np.zeros((6, 2))
    assert function(same, 4).tolist() == [0, 1, 2, 3]
    assert sorted(function(same, 10).tolist()) == list(range(6))
    assert function(np.empty((0, 2)), 3).tolist() == []


def test_eq_10_equals_the_loop() -> None:
    rng = np.random.default_rng(4)
    features, labelled = (
        rng.normal(size=(30, 16)).astype(np.float32),
        rng.normal(size=(7, 16)).astype(np.float32),
    )
    features[3] = labelled[2] = 0
    phi = mean_similarity(features, labelled)
    np.testing.assert_allclose(phi, [naive_phi(feature, labelled) for feature in features], atol=1e-12)
    assert phi[3] == 0


def test_nearest_similarity_equals_the_loop() -> None:
    rng = np.random.default_rng(9)
    features, labelled = (
        rng.normal(size=(30, 16)).astype(np.float32),
        rng.normal(size=(7, 16)).astype(np.float32),
    )
    features[3] = labelled[2] = 0
    np.testing.assert_allclose(
        nearest_similarity(features, labelled),
        [naive_nearest(feature, labelled) for feature in features],
        atol=1e-12,
    )


@pytest.mark.parametrize("function", [mean_similarity, nearest_similarity])
def test_phi_does_not_depend_on_the_rows_that_share_the_call(function: Any) -> None:
    rng = np.random.default_rng(5)
    features, labelled = (
        rng.normal(size=(301, 64)).astype(np.float32),
        rng.normal(size=(9, 64)).astype(np.float32),
    )
    together = function(features, labelled)
    assert [function(features[i : i + 1], labelled)[0] for i in range(301)] == together.tolist()


@pytest.mark.parametrize("function", [mean_similarity, nearest_similarity])
def test_nothing_labelled_gives_zeros_and_channels_must_match(function: Any) -> None:
    assert function(np.ones((3, 4)), np.empty((0, 4))).tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="4 channels and labelled points 5"):
        function(np.ones((3, 4)), np.ones((2, 5)))


def test_unit_vectors_have_length_1_or_0() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]], dtype=np.float32)
    expected = np.array([[0.6, 0.8], [0, 0], [-1, 0]])
    np.testing.assert_allclose(unit_vectors(rows), expected, atol=1e-15)


@pytest.mark.parametrize("cover", COVERS)
@pytest.mark.parametrize(("similarity", "phi"), [("mean", naive_phi), ("nearest", naive_nearest)])
@pytest.mark.parametrize("dimensions", [2, FLAT + 1])
def test_select_equals_the_loop(cover: Cover, similarity: Similarity, phi: Any, dimensions: int) -> None:
    rng = np.random.default_rng(6)
    positions, features, labelled = (
        rng.random((50, dimensions)),
        rng.normal(size=(50, 8)),
        rng.normal(size=(4, 8)),
    )
    chosen = naive_cover(positions, 20, 0, cover)
    expected = sorted(chosen, key=lambda u: phi(features[u], labelled))[:3]
    assert select(positions, features.__getitem__, labelled, 3, 20, cover, similarity).tolist() == expected


def test_select_breaks_ties_in_candidate_order() -> None:
    positions = positions_of(7, 30)
    chosen = select(positions, np.ones((30, 4)).__getitem__, np.empty((0, 4)), 5, 12, "kcenter")
    assert chosen.tolist() == sorted(cover_kcenter(positions, 12).tolist())[:5]


def test_select_gives_what_there_is_and_at_least_k() -> None:
    positions, features = positions_of(8, 4), np.random.default_rng(8).normal(size=(4, 3))
    assert sorted(select(positions, features.__getitem__, features[:1], 9, 20, "kcenter").tolist()) == [
        0,
        1,
        2,
        3,
    ]
    assert len(select(positions, features.__getitem__, features[:1], 3, 1, "kcenter")) == 3
    assert select(positions[:0], features.__getitem__, features, 2, 20, "kcenter").tolist() == []
