"""Every score against a naive form of its equation."""

from math import log2

import numpy as np
import pytest

from atal_ray.acquisition.registered import SCORES
from atal_ray.acquisition.scores.impurity import ImpurityConfig
from atal_ray.acquisition.scores.pixel_score import PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import difference


def entropy(p: float) -> float:
    return -sum(q * log2(q) for q in (p, 1 - p) if q > 0)


def made(name: str) -> PixelScore:
    kind = SCORES.find(name)
    return kind(kind.Settings() if kind.Settings else None)


@pytest.fixture
def seen() -> Seen:
    rng = np.random.default_rng(0)
    members = rng.random((3, 9, 9), np.float32)
    return Seen(members.mean(0), rng.random((9, 9), np.float32), members=members)


@pytest.mark.parametrize("name", ["flip-margin", "margin-change", "entropy", "margin"])
def test_those_of_eq_3_are_its_forms(seen: Seen, name: str) -> None:
    np.testing.assert_array_equal(made(name)(seen), difference(seen.clean, seen.attacked, name))


def test_bald_is_the_entropy_of_the_mean_less_the_mean_entropy(seen: Seen) -> None:
    found = made("bald")(seen)
    for cell in np.ndindex(found.shape):
        maps = [float(member[cell]) for member in seen.members]
        expected = entropy(sum(maps) / 3) - sum(map(entropy, maps)) / 3
        assert found[cell] == pytest.approx(expected, abs=1e-5)


def test_members_that_agree_leave_no_disagreement() -> None:
    same = np.full((4, 5, 5), 0.5, np.float32)
    assert made("bald")(Seen(same[0], members=same)).max() < 1e-6


@pytest.mark.parametrize("radius", [1, 2])
def test_impurity_is_counted_window_by_window(seen: Seen, radius: int) -> None:
    found = SCORES.find("impurity")(ImpurityConfig(radius=radius))(seen)
    for row, column in np.ndindex(found.shape):
        window = seen.clean[
            max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1
        ]
        share = float(np.mean(window > 0.5))
        uncertainty = sum(entropy(float(p)) for p in window.ravel()) / window.size
        assert found[row, column] == pytest.approx(uncertainty * entropy(share), abs=1e-5)


def test_the_slope_is_high_along_the_edge_of_an_object() -> None:
    clean = np.zeros((6, 6), np.float32)
    clean[:, 3:] = 1
    np.testing.assert_allclose(made("boundary")(Seen(clean)), np.tile([0, 0, 0.5, 0.5, 0, 0], (6, 1)))


@pytest.mark.parametrize(
    "name",
    [name for name in SCORES.known if SCORES.find(name).top is not None and not SCORES.find(name).fits],
)
def test_none_is_above_its_top_or_below_zero(name: str) -> None:
    p, p_adv = np.meshgrid(np.linspace(0, 1, 101, dtype=np.float32), np.linspace(0, 1, 101, dtype=np.float32))
    score = made(name)
    found = score(Seen(p, p_adv, members=np.stack([p, p_adv]), mask=np.zeros(p.shape, np.bool_)))
    assert score.top is not None
    assert found.min() >= 0
    assert found.max() <= score.top + 1e-6
    if name not in ("boundary", "impurity", "vote-entropy"):  # which reach it in other maps
        assert found.max() == pytest.approx(score.top, abs=0.01)
