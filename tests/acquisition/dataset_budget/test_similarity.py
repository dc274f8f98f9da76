import sys

import faiss
import numpy as np
import pytest

from atal_ray.acquisition.dataset_budget import blocks
from atal_ray.acquisition.dataset_budget import similarity as module
from atal_ray.acquisition.dataset_budget.products import row_products
from atal_ray.acquisition.dataset_budget.similarity import (
    Labelled,
    Least,
    least_similar,
    rounding,
    similarity,
)
from atal_ray.acquisition.rds import mean_similarity, nearest_similarity, unit_vectors
from atal_ray.errors import ConfigError, DataError

BACKENDS = ("faiss", "numpy")
PHI = {"mean": mean_similarity, "nearest": nearest_similarity}


@pytest.fixture(autouse=True)
def _many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROWS": 32, "READ_ROWS": 32, "FEWEST": 40, "SEARCHED": 150, "PRODUCT": 500}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(blocks, "TASK", 2)


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and labelled points."""
    rng = np.random.default_rng(1)
    features, labelled = (
        rng.normal(1, 2, (700, 24)).astype(np.float32),
        rng.normal(1, 2, (60, 24)).astype(np.float32),
    )
    match kind:
        case "random":
            pass
        case "duplicated":
            features, labelled = features[rng.integers(0, 40, 700)], labelled[rng.integers(0, 5, 60)]
        case "nearly equal":
            features = np.ones((700, 24), np.float32) + rng.integers(0, 3, (700, 24)).astype(
                np.float32
            ) * np.float32(2**-23)
            labelled[:30] = features[:30] * 3
        case "zeros and tiny":
            features[::3], features[1::7], labelled[4] = 0, features[1::7] * np.float32(1e-30), 0
        case "one label":
            labelled = labelled[:1]
    return features, labelled


KINDS = ("random", "duplicated", "nearly equal", "zeros and tiny", "one label")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("phi", PHI)
@pytest.mark.parametrize("kind", KINDS)
def test_both_back_ends_give_the_bits_of_the_plain_form(kind: str, phi: str, backend: str) -> None:
    features, labelled = data(kind)
    units = unit_vectors(features).astype(np.float32)
    expected, of_units = PHI[phi](features, labelled), PHI[phi](units, labelled)
    for threads in (1, 3):
        assert similarity(features, labelled, phi, backend, threads=threads).tolist() == expected.tolist()
        for k in (1, 30, 650, 900):
            found = least_similar(units, labelled, k, phi, backend, threads=threads)
            assert found.tolist() == np.argsort(of_units, kind="stable")[:k].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_within_its_bound(kind: str) -> None:
    features, labelled = data(kind)
    units = unit_vectors(features).astype(np.float32)
    mean = (unit_vectors(labelled).sum(axis=0) / len(labelled)).astype(np.float32)
    for backend in BACKENDS:
        assert (
            np.abs(row_products(backend)(units, mean) - mean_similarity(units, labelled)).max()
            < rounding(24)
            < 1e-5
        )
        nearest = module._Nearest(labelled, backend, False, 1).float32(features)
        assert np.abs(nearest - nearest_similarity(features, labelled)).max() < rounding(24)


def test_a_search_that_rounds_more_than_float32_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labelled = data("random")
    knn = faiss.knn

    def coarse(points: np.ndarray, others: np.ndarray, k: int, metric: int) -> tuple[np.ndarray, np.ndarray]:
        values, places = knn(points, others, k, metric=metric)
        return values + np.float32(1e-3), (places + 1) % len(labelled)

    monkeypatch.setattr(faiss, "knn", coarse)
    assert (
        similarity(features, labelled, "nearest", "faiss").tolist()
        == nearest_similarity(features, labelled).tolist()
    )


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
def test_the_least_are_those_of_a_sort(order: str) -> None:
    values = np.random.default_rng(2).integers(0, 50, 403).astype(np.float32)
    values = {
        "random": values,
        "ascending": np.sort(values),
        "descending": -np.sort(-values),
        "equal": values * 0,
    }[order]
    for k in (1, 7, 100, 101, 403):
        least = Least(k, 1.5)
        for first in (200, 0, 100, 300, 400):  # as threads come
            least.add(first, values[first : min(first + 100, 403)])
        assert least.rows().tolist() == np.flatnonzero(values <= np.sort(values)[k - 1] + 1.5).tolist()


def test_the_least_of_many_values_are_held_without_the_rest() -> None:
    least, rng = Least(5, 0.0), np.random.default_rng(3)
    for first in range(0, 20_000, 100):
        least.add(first, rng.random(100, np.float32))
        assert least._count <= 40 + 100


def test_nothing_labelled_keeps_the_order() -> None:
    features, none = np.ones((5, 3), np.float32), np.empty((0, 3), np.float32)
    for kind in PHI:
        assert similarity(features, none, kind).tolist() == [0] * 5
        assert least_similar(features, none, 2, kind).tolist() == [0, 1]
        assert similarity(features[:0], features, kind).tolist() == []


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labelled = data("random")
    with pytest.raises(DataError, match="24 channels and labelled points 3"):
        similarity(features, labelled[:, :3], "mean")
    with pytest.raises(DataError, match="no unit vector"):
        least_similar(features, labelled, 3, "mean", "numpy")
    features[5, 5] = np.nan
    for kind in PHI:
        with pytest.raises(DataError, match="not finite"):
            least_similar(features, labelled, 3, kind, "numpy")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match="install atal-ray"):
        least_similar(features, labelled, 3, "nearest", "faiss")


def test_labelled_points_may_come_in_pieces() -> None:
    features, labelled = data("random")
    for kind, expected in PHI.items():
        points = Labelled(kind, "numpy")
        for first in range(0, 60, 25):
            points.add(labelled[first : first + 25])
            points.add(labelled[:0])
            assert (
                np.abs(points.similarity(features) - expected(features, labelled[: first + 25])).max() < 1e-12
            )
        with pytest.raises(DataError, match="channels"):
            points.similarity(features[:, :3])
        with pytest.raises(DataError, match="channels"):
            points.add(labelled[:, :3])
        with pytest.raises(DataError, match="labelled point is not finite"):
            points.add(np.full((2, 24), np.nan, np.float32))
