from typing import Any

import numpy as np
import pytest
from covers import KINDS, positions_of, squared_distances

from atal_ray.acquisition.cover import kcenter
from atal_ray.acquisition.cover import members as cover_members
from atal_ray.acquisition.cover.distances import distance_error
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy
from atal_ray.acquisition.rds import cover_kcenter
from atal_ray.errors import DataError


def flat(positions: np.ndarray, m: int, start: list[int]) -> list[int]:
    """Every candidate at every pick, in exact integers or float64."""
    nearest = np.full(len(positions), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(m, len(positions)):
        pick = start[len(chosen)] if len(chosen) < len(start) else int(nearest.argmax())
        chosen.append(pick)
        nearest = np.minimum(nearest, squared_distances(positions, pick))
        nearest[chosen] = -1
    return chosen


@pytest.fixture(autouse=True)
def _many_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks and bands, so that a thousand candidates go through what millions do."""
    monkeypatch.setattr(kcenter, "FEWEST", 8)
    monkeypatch.setattr(kcenter, "ROWS", 32)
    monkeypatch.setattr(cover_members, "MEMBERS", 5)
    monkeypatch.setattr(cover_members, "PRODUCT", 60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_picks_are_those_of_the_flat_pass(kind: str, seed: int) -> None:
    positions = positions_of(kind, seed)
    expected = flat(positions, 120, [seed])
    assert cover_kcenter_lazy(positions, 120, [seed]).tolist() == expected
    assert cover_kcenter(positions, 120, seed).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_set_comes_first_and_counts(kind: str) -> None:
    positions, start = positions_of(kind, 4), [17, 3, 880, 18]
    assert cover_kcenter_lazy(positions, 60, start).tolist() == flat(positions, 60, start)
    assert cover_kcenter_lazy(positions, 2, start).tolist() == [17, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_m_beyond_n_gives_every_candidate_in_the_flat_order(kind: str) -> None:
    positions = positions_of(kind, 5)[:70]
    assert cover_kcenter_lazy(positions, 1000).tolist() == flat(positions, 1000, [0])


def test_float32_products_stay_within_the_bound_of_their_error() -> None:
    for dimensions in (1, 2, 64):
        x = np.random.default_rng(dimensions).uniform(-1, 1, (400, dimensions)).astype(np.float32)
        squares = np.einsum("ij,ij->i", x, x)
        product = squares[:, None] + squares - 2 * (x @ x.T)
        wide = x.astype(np.float64)
        exact = ((wide[:, None] - wide) ** 2).sum(axis=2)
        assert 0 < np.abs(product - exact).max() < distance_error(float(squares.max()), dimensions) < 1e-3


def worst_squared_distance(x: np.ndarray, p: np.ndarray) -> np.float32:
    """|x|^2 + |p|^2 - 2 x.p in float32, term after term."""
    norm_x, norm_p, product = (
        np.add.accumulate(term, dtype=np.float32)[-1] for term in (x * x, p * p, x * p)
    )
    return norm_x + norm_p - 2 * product


@pytest.mark.parametrize("dimensions", [64, 256, 2048])
def test_the_bound_holds_where_every_sum_is_rounded_down(dimensions: int) -> None:
    x = np.full(dimensions, 2.0**-12, np.float32)
    x[0] = 1  # each further term is half of the last bit of 1, and so is lost
    wrong = abs(float(worst_squared_distance(x, -x)) - float(((2 * x.astype(np.float64)) ** 2).sum()))
    bound = distance_error(float((x.astype(np.float64) ** 2).sum()), dimensions)
    assert bound / 2 < wrong < bound


@pytest.mark.parametrize("kind", ["random", "clustered", "tied"])
@pytest.mark.parametrize("seed", range(3))
def test_members_are_right_however_products_err_within_the_bound(
    kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = positions_of(kind, seed)
    error, noise = 0.02 * float(np.square(positions).sum(axis=1).max()), np.random.default_rng(seed)
    exact_products = cover_members.products

    def noisy(factors: np.ndarray, points: np.ndarray) -> np.ndarray:
        """A squared distance holds a product twice."""
        found = exact_products(factors, points)
        return found + np.float32(0.4999 * error) * noise.choice(np.array([-1, 1], np.float32), found.shape)

    monkeypatch.setattr(cover_members, "products", noisy)
    monkeypatch.setattr(kcenter, "distance_error", lambda *_: error)
    assert cover_kcenter_lazy(positions, 60, [seed]).tolist() == flat(positions, 60, [seed])


def test_equal_and_few_candidates() -> None:
    assert cover_kcenter_lazy(np.ones((50, 3), np.float32), 5).tolist() == [0, 1, 2, 3, 4]
    assert cover_kcenter_lazy(np.ones((1, 3), np.float32), 5).tolist() == [0]
    assert cover_kcenter_lazy(np.empty((0, 3), np.float32), 5).tolist() == []
    assert cover_kcenter_lazy(np.ones((4, 3), np.float32), 0).tolist() == []


def test_most_candidates_miss_most_picks(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0
    closeness = cover_members.Members.closeness

    def counted(members: cover_members.Members, points: np.ndarray, since: int) -> np.ndarray:
        nonlocal measured
        measured += len(points) * (members.count - since)
        return closeness(members, points, since)

    monkeypatch.setattr(cover_members.Members, "closeness", counted)
    cover_kcenter_lazy(positions_of("clustered", 6), 100)
    assert measured < 0.5 * 900 * 100


def test_what_only_repeats_the_cover_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0
    exact = cover_members.Members.exact

    def counted(members: cover_members.Members, rows: np.ndarray, *rest: Any) -> np.ndarray:
        nonlocal measured
        measured += len(rows)
        return exact(members, rows, *rest)

    monkeypatch.setattr(cover_members.Members, "exact", counted)
    positions = np.eye(16, dtype=np.float32)[np.arange(900) % 16]
    assert cover_kcenter_lazy(positions, 800).tolist() == flat(positions, 800, [0])
    assert measured < 10 * 900


def test_progress_is_reported() -> None:
    reported: list[float] = []
    cover_kcenter_lazy(positions_of("clustered", 6), 100, on_progress=reported.append)
    assert reported == sorted(reported)
    assert len(set(reported)) > 3
    assert reported[-1] == 100


def test_bad_input_is_named() -> None:
    good = np.ones((4, 2), np.float32)
    with pytest.raises(DataError, match="floating-point"):
        cover_kcenter_lazy(good.astype(np.int64), 2)
    for start in ([], [1, 1], [4], [-1]):
        with pytest.raises(DataError, match="different candidates from 0 to 3"):
            cover_kcenter_lazy(good, 3, start)
    for value in (np.nan, np.inf, 3e30):
        bad = good.copy()
        bad[2, 1] = value
        with pytest.raises(DataError, match="not finite"):
            cover_kcenter_lazy(bad, 2)
