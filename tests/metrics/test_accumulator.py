import json
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.errors import DataError
from atal_ray.metrics.accumulator import Accumulator, Metrics
from atal_ray.metrics.fmeasure import pr_curve
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
