from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from properties import examples

from atal_ray.acquisition.candidates import candidate_count, candidate_set
from atal_ray.errors import DataError, DivergedError


def naive(score: np.ndarray, free: np.ndarray, percent: float, tie: np.ndarray) -> list[int]:
    ranked = []
    for index, (u, is_free, noise) in enumerate(zip(score.ravel(), free.ravel(), tie.ravel(), strict=True)):
        if is_free:
            ranked.append((-u, noise, index))
    return [index for _, _, index in sorted(ranked)][: max(1, floor(percent * score.size / 100))]


@pytest.mark.parametrize("percent", [0.01, 1, 3, 20, 70, 99, 100])
@pytest.mark.parametrize("levels", [1, 2, 7, 10**6])
def test_equals_the_sorted_list(percent: float, levels: int) -> None:
    rng = np.random.default_rng(levels)
    score = (rng.integers(levels, size=(23, 31)) / levels).astype(np.float32)
    free = rng.random((23, 31)) < 0.8
    tie = rng.integers(50, size=(23, 31)).astype(np.float32)  # noise collides too
    chosen = candidate_set(score, free, candidate_count(score.size, percent, 0), tie)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == naive(score, free, percent, tie)


def test_labelled_pixels_are_never_candidates_and_few_free_ones_are_all_taken() -> None:
    score = np.ones((10, 10), np.float32)
    free = np.zeros((10, 10), bool)
    free[2, 3] = free[7, 1] = True
    tie = np.random.default_rng(0).random((10, 10), dtype=np.float32)
    assert set(candidate_set(score, free, 50, tie).tolist()) == {23, 71}
    assert candidate_set(score, np.zeros((10, 10), bool), 50, tie).tolist() == []


def test_a_flat_score_is_spread_by_the_noise() -> None:
    score = np.zeros((100, 100), np.float32)
    free = np.ones((100, 100), bool)
    rng = np.random.default_rng(1)
    first, second = (candidate_set(score, free, 300, rng.random((100, 100))) for _ in range(2))
    assert len(first) == 300
    assert set(first.tolist()) != set(second.tolist())
    rows, columns = np.divmod(first, 100)
    for coordinate in (rows, columns):
        assert abs(coordinate.mean() - 49.5) < 8  # about five standard errors
    assert abs(np.corrcoef(np.arange(300), first)[0, 1]) < 0.3


def test_refuses_nan_and_mixed_shapes() -> None:
    score, free, tie = np.zeros((4, 4), np.float32), np.ones((4, 4), bool), np.zeros((4, 4), np.float32)
    with pytest.raises(DataError, match="one shape"):
        candidate_set(score, free[:2], 3, tie)
    score[1, 1] = np.nan
    with pytest.raises(DivergedError, match="not finite"):
        candidate_set(score, free, 3, tie)


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Scores of few levels, free pixels, K, and tie-breaking numbers that may be equal too."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=12))
    score = draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.25, 0.5, 2.0])))
    tie = draw(arrays(np.float32, shape, elements=st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4])))
    return score, draw(arrays(bool, shape)), draw(st.floats(0.01, 100)), tie


@examples
@given(maps())
def test_the_set_is_the_top_of_the_sorted_free_pixels(
    drawn: tuple[np.ndarray, np.ndarray, float, np.ndarray],
) -> None:
    score, free, percent, tie = drawn
    chosen = candidate_set(score, free, candidate_count(score.size, percent, 0), tie)
    assert chosen.tolist() == naive(score, free, percent, tie)
    assert free.ravel()[chosen].all()
    left = np.setdiff1d(np.flatnonzero(free), chosen)
    if len(chosen) and len(left):
        assert score.ravel()[left].max() <= score.ravel()[chosen].min()
        larger = candidate_set(score, free, candidate_count(score.size, min(100.0, 2 * percent), 0), tie)
        assert larger[: len(chosen)].tolist() == chosen.tolist()  # a larger K only adds


def test_equal_scores_are_ordered_by_the_smallest_tie() -> None:
    score = np.array([[1, 1, 1, 2]], np.float32)
    tie = np.array([[0.5, 0.1, 0.3, 0.9]], np.float32)
    assert candidate_set(score, np.ones((1, 4), bool), 3, tie).tolist() == [3, 1, 2]
