"""What leaves the GPU of the networks: enough for the same points, and no map. A CPU stands for the GPU."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from torch import Tensor
from torch.overrides import TorchFunctionMode

from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.crossing import bring_candidates
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.pick import Pick, PixelPool, pick_random
from atal_ray.acquisition.predictions import Predictions
from atal_ray.acquisition.registered import SCORES, STRATEGIES
from atal_ray.acquisition.scores.certainty import Entropy
from atal_ray.acquisition.scores.pixel_score import Map
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.most_uncertain import MostUncertain
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config import QueryConfig
from atal_ray.config.plugins import settings_of
from atal_ray.errors import ConfigError, DivergedError

STRATEGY_NAMES = ("rds", "top", "top-share")
CHANNELS = 3
Shape = tuple[int, int]


def strategy(name: str, query: QueryConfig) -> Strategy:
    made = STRATEGIES.find(name)
    return made(query, settings_of(query, name, made))


def pool_of(size: int, shape: Shape, share: float, points: int, rng: np.random.Generator) -> PixelPool:
    grid, (height, width) = original_pixels(size, *shape), shape
    free = np.zeros((size, size), bool)
    kept = np.ix_(grid.cell_rows, grid.cell_columns)
    free[kept] = rng.random(free[kept].shape) < share
    labelled = np.stack([rng.integers(width, size=points), rng.integers(height, size=points)], axis=1)
    return PixelPool(height, width, free, rng.integers(4, size=free.shape, dtype=np.int32), labelled)


def batch_of(
    size: int, images: int, levels: int, side: Shape, rng: np.random.Generator
) -> tuple[Predictions, Tensor]:
    """Maps of few levels, so that scores are equal, with their scores."""
    clean, attacked = (
        torch.from_numpy(rng.integers(levels + 1, size=(images, size, size)) / np.float32(levels)).float()
        for _ in range(2)
    )
    features = torch.from_numpy(rng.normal(size=(images, CHANNELS, *side)).astype(np.float32))
    found = Predictions(clean, attacked, features)
    scores = SCORES.find("flip-margin")().of_batch(found)
    assert scores is not None
    return found, scores


@examples
@given(
    size=st.integers(3, 12),
    shapes=st.lists(st.tuples(st.integers(2, 20), st.integers(2, 20)), min_size=1, max_size=3),
    levels=st.integers(1, 300),
    share=st.floats(0, 1),
    percent=st.sampled_from([1.0, 10.0, 60.0, 100.0]),
    space=st.sampled_from(["image", "features", "both"]),
    side=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    k=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_the_same_points_as_from_whole_maps(
    size: int,
    shapes: list[Shape],
    levels: int,
    share: float,
    percent: float,
    space: Any,
    side: Shape,
    k: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    pools = [pool_of(size, shape, share, seed % 3, rng) for shape in shapes]
    found, scores = batch_of(size, len(pools), levels, side, rng)
    query = QueryConfig(top_percent=percent, cover_space=space)
    for name in STRATEGY_NAMES:
        choose = strategy(name, query)
        counts = [choose.candidates(pool.pixels, k) for pool in pools]
        brought = bring_candidates(found, scores, pools, [count for count in counts if count is not None])
        for number, (pool, seen) in enumerate(brought):
            whole = found.of(number)
            expected = choose(
                pools[number], with_score(whole, scores[number]), k, np.random.default_rng(seed)
            )
            pick = choose(pool, seen, k, np.random.default_rng(seed))
            assert pick.xy.tolist() == expected.xy.tolist(), name
            for map_name in ("clean", "attacked"):
                assert np.array_equal(
                    getattr(seen, map_name)[pick.cells], getattr(whole, map_name)[pick.cells]
                )


def with_score(seen: Seen, score: Tensor) -> Seen:
    return replace(seen, score=score.numpy())


@pytest.mark.parametrize("where", ["clean", "attacked", "features"])
def test_an_image_that_is_not_finite_is_refused_and_no_other(where: str) -> None:
    rng = np.random.default_rng(0)
    pools = [pool_of(8, (10, 12), 1.0, 1, rng) for _ in range(3)]
    found, _ = batch_of(8, 3, 50, (4, 4), rng)
    getattr(found, where)[1].view(-1)[5] = torch.inf if where == "features" else torch.nan
    scores = SCORES.find("flip-margin")().of_batch(found)
    choose = strategy("rds", QueryConfig())
    brought = bring_candidates(found, scores, pools, [20] * 3)
    for number, (pool, seen) in enumerate(brought):
        if number == 1:
            with pytest.raises(DivergedError, match="not finite"):
                choose(pool, seen, 2, rng)
        else:
            assert len(choose(pool, seen, 2, rng).xy) == 2


class Crossings(TorchFunctionMode):
    """Notes what is read of tensors, as if each had to come from a GPU, and how large it is."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.waits: Counter[str] = Counter()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name == "to":
            self.waits[name] += 1
        if name in (
            "__setitem__",
            "cpu",
            "item",
            "tolist",
            "__bool__",
            "__float__",
            "__int__",
            "__array__",
            "nonzero",
        ):
            self.waits[name] += 1
            if name != "nonzero":  # whose result stays
                self.sizes.append(arguments[0].numel() * arguments[0].element_size())
        return function(*arguments, **(named or {}))


@pytest.mark.parametrize("images", [2, 6])
def test_only_candidates_cross_in_as_many_steps_for_any_number_of_images(images: int) -> None:
    size, count, rng = 64, 40, np.random.default_rng(0)
    pools = [pool_of(size, (90, 120), 1.0, 4, rng) for _ in range(images)]
    found, scores = batch_of(size, images, 10**6, (16, 16), rng)
    with Crossings() as crossed:
        brought = bring_candidates(found, scores, pools, [count] * images)
    assert crossed.waits == {"to": 3, "nonzero": 2, "cpu": 5}
    cells = images * count
    around = sum(len(seen.near.values) for _, seen in brought if seen.near is not None)
    assert around <= 4 * (cells + 4 * images)
    indices, maps = 8 * (cells + around), 4 * 3 * cells
    assert sum(crossed.sizes) == indices + maps + 4 * CHANNELS * around + images
    assert sum(crossed.sizes) < found.clean.nbytes, "less than one of four maps"
    assert [np.count_nonzero(pool.free) for pool, _ in brought] == [count] * images


@pytest.mark.parametrize("count", [0, 1, 10**6])
def test_a_strategy_may_ask_for_none_or_for_all(count: int) -> None:
    rng = np.random.default_rng(0)
    pools = [pool_of(8, (10, 12), 0.5, 1, rng) for _ in range(2)]
    found, scores = batch_of(8, 2, 10**6, (4, 4), rng)
    for (pool, _), whole in zip(bring_candidates(found, scores, pools, [count] * 2), pools, strict=True):
        expected = min(max(count, 1), np.count_nonzero(whole.free))
        assert np.count_nonzero(pool.free) == expected


class Odd(Entropy):
    """Scores of its own."""

    def __call__(self, seen: Seen) -> Map:
        return seen.clean


class Renamed(Entropy):
    """Another name."""


class Mixin:
    """Scores for any class."""

    def __call__(self, seen: Seen) -> Map:
        return seen.clean


class Mixed(Mixin, Entropy):
    """Those of the first base."""


class Later(Entropy):
    """Its scores are set below."""


setattr(Later, "__call__", lambda score, seen: seen.clean)  # noqa: B010


class Shuffled(MostUncertain):
    """A choice of its own."""

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        return pick_random(pool, k, rng)


@pytest.mark.parametrize("kind", [Odd, Mixed, Later, Renamed])
def test_a_score_of_its_own_does_not_inherit_that_of_a_batch(kind: type[Entropy]) -> None:
    asking = replace(Asking.of(QueryConfig(score="entropy")), score=kind())
    assert (asking.scored_batch(Predictions(torch.rand(1, 4, 4))) is not None) == (kind is Renamed)


def test_a_choice_of_its_own_does_not_inherit_how_many_pixels_another_one_looks_at() -> None:
    asking = Asking.of(QueryConfig(strategy="top"))
    assert asking.candidates(100, 2) == 2
    assert replace(asking, strategy=Shuffled(QueryConfig())).candidates(100, 2) is None


def test_scores_of_another_shape_are_refused() -> None:
    class Flat(Entropy):
        """One number for each image."""

        def of_batch(self, found: Predictions) -> Tensor:
            return found.clean.mean((1, 2))

    asking = replace(Asking.of(QueryConfig(score="entropy")), score=Flat())
    with pytest.raises(ConfigError, match=r"Flat gives scores \[3\]: .* each pixel, \[3, 4, 4\]"):
        asking.scored_batch(Predictions(torch.rand(3, 4, 4)))


@pytest.mark.parametrize("name", ["flip-margin", "margin-change", "margin", "entropy", "bald"])
def test_the_score_of_a_batch_is_that_of_each_image(name: str) -> None:
    rng = np.random.default_rng(1)
    members = torch.from_numpy(rng.random((3, 4, 9, 9), np.float32))
    attacked = torch.from_numpy(rng.random((3, 9, 9), np.float32))
    found, score = Predictions(members.mean(1), attacked, members=members), SCORES.find(name)()
    scores = score.of_batch(found)
    assert scores is not None
    for number in range(3):
        alone = score(found.of(number))
        assert alone.dtype == np.float32
        if name in ("entropy", "bald"):  # NumPy's logarithms have other last bits than PyTorch's
            np.testing.assert_allclose(scores[number], alone, atol=1e-6)
        else:
            assert np.array_equal(scores[number], alone)
