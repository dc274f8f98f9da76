from typing import Any

import faiss
import numpy as np
import pytest
from labelled_features import BACKENDS, KINDS, data

from atal_ray.acquisition.cover import blocks
from atal_ray.acquisition.dataset_budget import nearest
from atal_ray.acquisition.dataset_budget.nearest import NearestLabelled, cosine_error
from atal_ray.acquisition.rds import nearest_similarity


@pytest.fixture(autouse=True)
def _many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that a thousand candidates go through what millions do."""
    monkeypatch.setattr(nearest, "SEARCHED", 150)
    monkeypatch.setattr(nearest, "PRODUCT", 500)
    monkeypatch.setattr(blocks, "TASK", 2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_within_its_bound_and_float64_is_exact(kind: str, backend: Any) -> None:
    features, labelled = data(kind)
    index, expected = NearestLabelled(labelled, backend, False, 1), nearest_similarity(features, labelled)
    assert np.abs(index.float32(features) - expected).max() < cosine_error(24) < 1e-5
    assert index.exact(features).tolist() == expected.tolist()


def test_the_bound_is_above_what_rounding_adds_up_to_but_not_far() -> None:
    """A larger bound would be safe too, but then more points are measured again in float64."""
    for channels in (1, 8, 24, 256, 2048):
        rounding = (1.5 * channels + 6) * 2.0**-24
        assert rounding < cosine_error(channels) < 3 * rounding


def test_a_search_that_rounds_more_than_float32_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labelled = data("random")
    knn = faiss.knn

    def coarse(points: np.ndarray, others: np.ndarray, k: int, metric: int) -> tuple[np.ndarray, np.ndarray]:
        values, rows = knn(points, others, k, metric=metric)
        return values + np.float32(1e-3), (rows + 1) % len(labelled)

    monkeypatch.setattr(faiss, "knn", coarse)
    found = NearestLabelled(labelled, "faiss", False, 1).exact(features)
    assert found.tolist() == nearest_similarity(features, labelled).tolist()
