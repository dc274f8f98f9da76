"""Every strategy: what any of them must do, and what each is for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atal_ray.acquisition.pick import Pick, PixelPool
from atal_ray.acquisition.registered import STRATEGIES
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.around_centre import pick_around_centre
from atal_ray.acquisition.strategies.power import PowerConfig
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config import QueryConfig

SIZE = 24


def made(name: str) -> Strategy:
    kind = STRATEGIES.find(name)
    strategy = kind(QueryConfig(), kind.Settings() if kind.Settings else None)
    if kind.fits:
        strategy.state = {"centres": torch.ones(2, 4)}
    return strategy


def pool_of(free: np.ndarray, superpixels: np.ndarray | None = None, labelled: object = ()) -> PixelPool:
    ids = np.full(free.shape, -1, np.int32) if superpixels is None else superpixels
    height, width = free.shape
    return PixelPool(height, width, free, ids, np.array(labelled, np.int32).reshape(-1, 2))


def seen_of(rng: np.random.Generator, size: int = SIZE) -> Seen:
    clean, score = rng.random((2, size, size), np.float32)
    return Seen(clean, features=rng.random((4, 6, 6), np.float32), score=score)


@pytest.mark.parametrize("name", STRATEGIES.known)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 6), share=st.floats(0, 1))
def test_each_asks_for_free_pixels_once(name: str, seed: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    free = rng.random((SIZE, SIZE)) < share
    superpixels = (np.arange(SIZE * SIZE).reshape(SIZE, SIZE) // 40).astype(np.int32)
    pool, seen = pool_of(free, superpixels if seed % 2 else None), seen_of(rng)
    picks = [made(name)(pool, seen, k, np.random.default_rng(seed)) for _ in range(2)]
    found = list(zip(*picks[0].cells, strict=True))
    assert len(set(found)) == len(found) == min(k, free.sum())
    assert all(free[cell] for cell in found)
    np.testing.assert_array_equal(picks[0].xy, picks[1].xy)
    np.testing.assert_array_equal(picks[0].xy, np.stack([picks[0].cells[1], picks[0].cells[0]], 1))


@pytest.mark.parametrize("name", [name for name in STRATEGIES.known if not STRATEGIES.find(name).looks])
def test_one_that_does_not_look_needs_nothing_to_see(name: str) -> None:
    pick = made(name)(pool_of(np.ones((8, 8), bool)), Seen.nothing(8), 3, np.random.default_rng(0))
    assert len(pick.xy) == 3


def many(ask: Callable[[int], Pick]) -> np.ndarray:
    """Cells [N, 2] of many images."""
    return np.concatenate([np.stack(ask(seed).cells, 1) for seed in range(200)])


def test_top_share_stays_in_its_share_and_is_even_there() -> None:
    seen, pool = seen_of(np.random.default_rng(0)), pool_of(np.ones((SIZE, SIZE), bool))
    cells = many(lambda seed: made("top-share")(pool, seen, 4, np.random.default_rng(seed)))
    best = int(SIZE**2 * 0.05)
    threshold = np.sort(seen.score.ravel())[-best]
    assert (seen.score[cells[:, 0], cells[:, 1]] >= threshold).all()
    counts = np.unique(cells, axis=0, return_counts=True)[1]
    assert len(counts) == best
    assert counts.max() < 2 * counts.mean()


def test_power_draws_in_proportion_to_the_score() -> None:
    score = np.full((4, 4), 0.1, np.float32)
    score[0, 0] = 1.5  # as much as the fifteen others
    pool, seen = pool_of(np.ones((4, 4), bool)), Seen(score, score=score)

    def share(beta: float) -> float:
        strategy = STRATEGIES.find("power")(QueryConfig(), PowerConfig(beta=beta))
        cells = many(lambda seed: strategy(pool, seen, 1, np.random.default_rng(seed)))
        return float(np.mean((cells == 0).all(1)))

    assert share(1) == pytest.approx(0.5, abs=0.1)
    assert share(0.001) == pytest.approx(1 / 16, abs=0.06)
    assert share(20) == 1


def test_by_class_takes_object_and_background_by_turns() -> None:
    clean = np.full((16, 16), 0.1, np.float32)
    clean[:4, :4] = 0.9  # a sixteenth of the pixels
    seen, strategy = Seen(clean), made("foreground")
    pool = pool_of(np.ones((16, 16), bool))
    for seed in range(20):
        pick = strategy(pool, seen, 4, np.random.default_rng(seed))
        assert (clean[pick.cells] > 0.5).sum() == 2
    odd = [clean[strategy(pool, seen, 1, np.random.default_rng(seed)).cells][0] > 0.5 for seed in range(200)]
    assert np.mean(odd) == pytest.approx(0.5, abs=0.1)
    few = pool.free.copy()
    few[:4, :4] = False
    assert len(strategy(pool_of(few), seen, 4, np.random.default_rng(0)).xy) == 4


def test_around_centre_has_a_sixth_of_the_side_as_its_deviation() -> None:
    pool, size = pool_of(np.ones((60, 60), bool)), 60
    cells = many(lambda seed: pick_around_centre(pool, 3, np.random.default_rng(seed), first_in_centre=False))
    assert np.abs(cells.mean(0) - 29.5).max() < 2
    np.testing.assert_allclose(cells.std(0), size / 6, atol=1)
    first = pick_around_centre(pool, 3, np.random.default_rng(0), first_in_centre=True)
    assert np.abs(np.array([first.cells[0][0], first.cells[1][0]]) - 29.5).max() <= 0.5


def test_in_superpixels_takes_their_middles() -> None:
    superpixels = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 9, 0), 9, 1).astype(np.int32)
    pool = pool_of(np.ones((18, 18), bool), superpixels)
    pick = made("superpixels")(pool, Seen.nothing(18), 4, np.random.default_rng(0))
    found = set(zip(*(axis.tolist() for axis in pick.cells), strict=True))
    assert found == {(4, 4), (4, 13), (13, 4), (13, 13)}


def test_spread_out_is_the_naive_farthest_first() -> None:
    rng = np.random.default_rng(0)
    free, labelled = rng.random((12, 12)) < 0.7, [(2, 3), (9, 9)]
    pick = made("grid")(pool_of(free, labelled=labelled), Seen.nothing(12), 3, rng)
    there = [np.array(xy[::-1]) for xy in labelled]
    for cell in zip(*pick.cells, strict=True):
        nearest = {
            tuple(other): min(float(np.hypot(*(np.array(other) - point))) for point in there)
            for other in np.argwhere(free).tolist()
        }
        assert nearest[tuple(map(int, cell))] == max(nearest.values())
        there.append(np.array(cell))
