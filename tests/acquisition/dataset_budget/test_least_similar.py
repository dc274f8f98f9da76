import sys
from typing import Any

import numpy as np
import pytest
from labelled_features import BACKENDS, KINDS, PHI, data

from atal_ray.acquisition.cover import blocks
from atal_ray.acquisition.cover.products import row_products
from atal_ray.acquisition.dataset_budget import least_similar as module
from atal_ray.acquisition.dataset_budget import nearest
from atal_ray.acquisition.dataset_budget.least_similar import Least, least_similar
from atal_ray.acquisition.dataset_budget.nearest import cosine_error
from atal_ray.acquisition.rds import mean_similarity, unit_vectors
from atal_ray.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that a thousand candidates go through what millions do."""
    monkeypatch.setattr(module, "READ_ROWS", 32)
    monkeypatch.setattr(module, "FEWEST", 40)
    monkeypatch.setattr(nearest, "SEARCHED", 150)
    monkeypatch.setattr(nearest, "PRODUCT", 500)
    monkeypatch.setattr(blocks, "TASK", 2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("phi", PHI)
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_the_first_of_a_stable_sort(kind: Any, phi: Any, backend: Any) -> None:
    features, labelled = data(kind)
    units = unit_vectors(features).astype(np.float32)
    order = np.argsort(PHI[phi](units, labelled), kind="stable")
    for threads in (1, 3):
        for k in (1, 30, 650, 900):
            found = least_similar(units, labelled, k, phi, backend, threads=threads)
            assert found.tolist() == order[:k].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_products_stay_within_the_bound_of_their_error(kind: Any, backend: Any) -> None:
    features, labelled = data(kind)
    units = unit_vectors(features).astype(np.float32)
    mean = (unit_vectors(labelled).sum(axis=0) / len(labelled)).astype(np.float32)
    found = row_products(backend)(units, mean)
    assert np.abs(found - mean_similarity(units, labelled)).max() < cosine_error(24)


@pytest.mark.parametrize("order", ["random", "ascending", "descending", "equal"])
def test_the_least_are_those_of_a_sort(order: str) -> None:
    drawn = np.random.default_rng(2).integers(0, 50, 403).astype(np.float32)
    orders = {
        "random": drawn,
        "ascending": np.sort(drawn),
        "descending": -np.sort(-drawn),
        "equal": 0 * drawn,
    }
    values = orders[order]
    for k in (1, 7, 100, 101, 403):
        least = Least(k, 1.5)
        for first in (200, 0, 100, 300, 400):  # as threads finish
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
        assert least_similar(features, none, 2, kind).tolist() == [0, 1]


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labelled = data("random")
    with pytest.raises(DataError, match="no unit vector"):
        least_similar(features, labelled, 3, "mean", "numpy")
    features[5, 5] = np.nan
    for kind in PHI:
        with pytest.raises(DataError, match="not finite"):
            least_similar(features, labelled, 3, kind, "numpy")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match="install atal-ray"):
        least_similar(features, labelled, 3, "nearest", "faiss")
