import json
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from properties import examples

from atal_ray.errors import DataError
from atal_ray.metrics.accumulator import Accumulator, Metrics
from atal_ray.metrics.emeasure import e_curve
from atal_ray.metrics.fmeasure import f_curve, pr_curve
from atal_ray.metrics.mae import mae
from atal_ray.metrics.smeasure import s_measure

Pair = tuple[np.ndarray, np.ndarray]


def make_pairs(count: int) -> list[Pair]:
    pairs = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        shape = tuple(rng.integers(5, 20, 2))
        mask = rng.random(shape) < 0.3
        saliency = np.clip(mask * 120 + rng.integers(0, 136, shape), 0, 255).astype(np.uint8)
        pairs.append((saliency, mask))
    return pairs


def accumulate(pairs: list[Pair]) -> Accumulator:
    accumulator = Accumulator()
    for saliency, mask in pairs:
        accumulator.add(saliency, mask)
    return accumulator


def exact_mean(values: list[float]) -> float:
    return float(sum(map(Fraction, values)) / len(values))


def test_summary_is_the_mean_over_images() -> None:
    pairs = make_pairs(9)
    summary = accumulate(pairs).summary()
    curves = [pr_curve(*pair) for pair in pairs]
    assert summary.images == 9
    assert summary.mae == pytest.approx(exact_mean([mae(*pair) for pair in pairs]), abs=1e-16)
    assert summary.s_measure == pytest.approx(exact_mean([s_measure(*pair) for pair in pairs]), abs=1e-16)
    for threshold in range(256):
        assert summary.precision[threshold] == pytest.approx(
            exact_mean([float(p[threshold]) for p, _ in curves]), abs=1e-16
        )
        assert summary.recall[threshold] == pytest.approx(
            exact_mean([float(r[threshold]) for _, r in curves]), abs=1e-16
        )


def test_max_f_is_that_of_the_mean_curves_not_the_mean_of_f() -> None:
    half = (np.array([[255, 255]], np.uint8), np.array([[True, False]]))  # P 1/2, R 1
    missed = (
        np.array([[0, 255]], np.uint8),
        np.array([[True, False]]),
    )  # P and R 0, but 1/2 and 1 at threshold 0
    summary = accumulate([half, missed]).summary()
    assert (summary.precision[255], summary.recall[255]) == (0.25, 0.5)
    assert (summary.precision[0], summary.recall[0]) == (0.5, 1.0)
    assert summary.max_f == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1))


def test_max_f_of_means_by_hand() -> None:
    """Images that are best at different thresholds."""
    first = (np.array([[0, 100, 200, 255]], np.uint8), np.array([[False, False, True, True]]))
    second = (np.array([[0, 100, 200, 255]], np.uint8), np.array([[False, False, False, True]]))
    # thresholds 101-200: P (1 + 1/2) / 2, R 1; thresholds 201-255: P 1, R (1/2 + 1) / 2
    assert accumulate([first, second]).summary().max_f == pytest.approx(
        max(1.3 * 0.75 / (0.225 + 1), 1.3 * 0.75 / (0.3 + 0.75))
    )


def test_means_and_maxima_of_curves_take_every_threshold() -> None:
    """The mean over images at each threshold 0..255, then the mean or the maximum of those 256."""
    pairs = make_pairs(5)
    summary = accumulate(pairs).summary()
    f = [exact_mean([float(f_curve(*pair)[k]) for pair in pairs]) for k in range(256)]
    e = [exact_mean([float(e_curve(*pair)[k]) for pair in pairs]) for k in range(256)]
    assert summary.f_mean == pytest.approx(exact_mean(f), rel=1e-14)
    assert summary.e_mean == pytest.approx(exact_mean(e), rel=1e-14)
    assert (summary.f_max, summary.e_max) == pytest.approx((max(f), max(e)), rel=1e-14)
    assert abs(exact_mean(e[1:]) - exact_mean(e)) > 1e-6  # threshold 0 counts


@pytest.mark.parametrize("level", [10, 100, 200])
def test_the_best_threshold_may_be_any(level: int) -> None:
    """F is best above the background's `level`, up to the object's level."""
    saliency = np.array([[0, level, level, level, level + 5, 255]], np.uint8)
    mask = np.array([[False, False, False, False, True, False]])
    summary = accumulate([(saliency, mask)]).summary()
    best = 1.3 * 0.5 / (0.3 * 0.5 + 1)  # the object and one other pixel
    assert summary.f_max == pytest.approx(best)
    assert [k for k, f in enumerate(summary.f_curve) if f == summary.f_max] == list(
        range(level + 1, level + 6)
    )
    assert summary.max_f == pytest.approx(best)


def test_f_of_mean_precision_and_recall_is_not_the_mean_adaptive_f() -> None:
    perfect = (np.array([[0, 255]], np.uint8), np.array([[False, True]]))  # P 1, R 1, F 1
    missed = (np.array([[255, 0]], np.uint8), np.array([[False, True]]))  # P 0, R 0, F 0
    partial = (np.array([[0, 0, 255, 0]], np.uint8), np.array([[False, True, True, False]]))  # P 1, R 1/2
    summary = accumulate([perfect, missed, partial]).summary()
    assert summary.f_of_mean_pr == pytest.approx(1.3 * (2 / 3) * 0.5 / (0.3 * (2 / 3) + 0.5))
    assert summary.f_adaptive == pytest.approx((1 + 0 + 1.3 * 0.5 / (0.3 + 0.5)) / 3)


maps = arrays(np.uint8, (2, 3))
masks = arrays(np.bool_, (2, 3))


@examples
@given(st.lists(st.tuples(maps, masks, st.integers(0, 2)), min_size=1, max_size=8), st.permutations(range(3)))
def test_any_images_in_any_shards_have_exact_means(images: list[Any], order: list[int]) -> None:
    """Each image goes to one of three shards, which are merged in any order, by way of JSON."""
    shards = [accumulate([(s, m) for s, m, shard in images if shard == number]) for number in order]
    merged = Accumulator()
    for shard in shards:
        merged.merge(Accumulator.from_state(json.loads(json.dumps(shard.state()))))
    assert merged.state() == accumulate([(s, m) for s, m, _ in images]).state()
    exact = sum((Fraction(mae(s, m)) for s, m, _ in images), Fraction()) / len(images)
    assert abs(Fraction(merged.summary().mae) - exact) <= Fraction(1, 2**53)


@pytest.mark.parametrize("shards", [1, 7, 64])
def test_any_sharding_in_any_order_gives_the_same_bits(shards: int) -> None:
    pairs = make_pairs(70)
    reference = accumulate(pairs)
    rng = np.random.default_rng(shards)
    shuffled = [pairs[index] for index in rng.permutation(70)]
    states = [json.dumps(accumulate(shuffled[shard::shards]).state()) for shard in range(shards)]
    merged = Accumulator()
    for shard in rng.permutation(shards):
        merged.merge(Accumulator.from_state(json.loads(states[shard])))
    assert merged.state() == reference.state()
    assert merged.summary() == reference.summary()


def test_merge_leaves_the_other_shard_as_it_is() -> None:
    pairs = make_pairs(3)
    left, right = accumulate(pairs[:1]), accumulate(pairs[1:])
    left.merge(right)
    right.add(*pairs[0])
    assert left.images == 3
    assert left.state() == right.state() == accumulate(pairs).state()


def test_state_travels_through_arrow_and_does_not_grow() -> None:
    perfect = (np.array([[0, 255]], np.uint8), np.array([[False, True]]))
    one, many = (
        accumulate([perfect]).state(),
        accumulate([perfect] * 50).state(),
    )  # 50 x 2^60 is beyond 64 bits
    assert pa.array([many]).to_pylist() == [many]
    assert np.shape(many["precision"]) == np.shape(one["precision"]) == (256, 2)
    assert Accumulator.from_state(many).summary().recall[255] == 1


def test_metrics_survive_json() -> None:
    summary = accumulate(make_pairs(5)).summary()
    assert Metrics.from_json(json.loads(json.dumps(summary.to_json()))) == summary


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="no image was scored"):
        Accumulator().summary()


def test_a_refused_image_is_named_and_not_counted() -> None:
    accumulator = accumulate(make_pairs(1))
    before = accumulator.state()
    with pytest.raises(DataError, match=r"ECSSD 0042: .*resize the map"):
        accumulator.add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), bool), name="ECSSD 0042")
    assert accumulator.state() == before


def test_damaged_states_and_metrics_are_refused() -> None:
    accumulator = accumulate(make_pairs(1))
    state, data = accumulator.state(), accumulator.summary().to_json()
    with pytest.raises(DataError, match="metric sums: fields are"):
        Accumulator.from_state({"images": 1})
    with pytest.raises(DataError, match="recall: 255 values, expected 256"):
        Accumulator.from_state({**state, "recall": state["recall"][1:]})
    with pytest.raises(DataError, match="metrics: fields are"):
        Metrics.from_json({**data, "e_measure": 0.5})
    with pytest.raises(DataError, match="precision: 0 values, expected 256"):
        Metrics.from_json({**data, "precision": []})


def test_values_that_no_score_has_are_refused_not_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = accumulate(make_pairs(1))
    before = accumulator.state()
    monkeypatch.setattr(
        "atal_ray.metrics.accumulator.score",
        lambda *_: {"mae": np.array([0.5]), "s_measure": np.array([4.5e15])},
    )
    with pytest.raises(DataError, match="cannot be summed"):
        accumulator.add(*make_pairs(1)[0])
    assert accumulator.state() == before
