from typing import Any

import numpy as np
import pytest
from labelled_features import BACKENDS, KINDS, PHI, data

from atal_ray.acquisition.cover import blocks
from atal_ray.acquisition.dataset_budget import nearest
from atal_ray.acquisition.dataset_budget import similarity as module
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures, similarity
from atal_ray.errors import DataError


@pytest.fixture(autouse=True)
def _many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that a thousand candidates go through what millions do."""
    monkeypatch.setattr(module, "ROWS", 32)
    monkeypatch.setattr(nearest, "SEARCHED", 150)
    monkeypatch.setattr(nearest, "PRODUCT", 500)
    monkeypatch.setattr(blocks, "TASK", 2)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("phi", PHI)
@pytest.mark.parametrize("kind", KINDS)
def test_both_back_ends_give_the_bits_of_the_plain_form(kind: Any, phi: Any, backend: Any) -> None:
    features, labelled = data(kind)
    expected = PHI[phi](features, labelled).tolist()
    for threads in (1, 3):
        assert similarity(features, labelled, phi, backend, threads=threads).tolist() == expected


def test_nothing_labelled_is_similar_to_nothing() -> None:
    features, none = np.ones((5, 3), np.float32), np.empty((0, 3), np.float32)
    for kind in PHI:
        assert similarity(features, none, kind).tolist() == [0] * 5
        assert similarity(features[:0], features, kind).tolist() == []


def test_labelled_points_may_be_added_in_several_calls() -> None:
    features, labelled = data("random")
    for kind, expected in PHI.items():
        points = LabelledFeatures(kind, "numpy")
        for first in range(0, 60, 25):
            points.add(labelled[first : first + 25])
            points.add(labelled[:0])
            found = points.similarity(features)
            assert np.abs(found - expected(features, labelled[: first + 25])).max() < 1e-12


def test_bad_features_are_refused() -> None:
    features, labelled = data("random")
    with pytest.raises(DataError, match="24 channels and labelled points 3"):
        similarity(features, labelled[:, :3], "mean")
    for kind in PHI:
        points = LabelledFeatures(kind, "numpy")
        points.add(labelled)
        with pytest.raises(DataError, match="channels"):
            points.similarity(features[:, :3])
        with pytest.raises(DataError, match="channels"):
            points.add(labelled[:, :3])
        with pytest.raises(DataError, match="labelled point is not finite"):
            points.add(np.full((2, 24), np.nan, np.float32))
