from itertools import pairwise
from math import cos, pi, sqrt

import pytest

from atal_ray.errors import ConfigError
from atal_ray.training.schedule import (
    batches_per_epoch,
    cyclic_cosine,
    learning_rate,
    poly,
    snapshot_epochs,
    triangular,
)


@pytest.mark.parametrize(("total", "cycles"), [(40, 5), (43, 5), (7, 7), (9, 1)])
def test_eq_8_equals_the_loop(total: int, cycles: int) -> None:
    step, period = 0, int(total / cycles)
    for i in range(1, total + 1):
        expected = 0.01 + 0.5 * (0.05 - 0.01) * (1 + cos(pi * step / period))
        assert cyclic_cosine(i, total, cycles, 0.05, 0.01) == pytest.approx(expected, abs=1e-15)
        step = 0 if step == period - 1 else step + 1


def test_eq_8_by_hand() -> None:
    """Two cycles of four iterations: cosines of 0, 45, 90 and 135 degrees."""
    high, low = 0.5 + sqrt(0.125), 0.5 - sqrt(0.125)
    rates = [cyclic_cosine(i, 8, 2, 1.0, 0.0) for i in range(1, 9)]
    assert rates == pytest.approx([1, high, 0.5, low, 1, high, 0.5, low])
    assert cyclic_cosine(3, 8, 2, 0.5, 0.25) == pytest.approx(0.375)


def test_a_cycle_starts_at_the_top_and_falls() -> None:
    rates = [cyclic_cosine(i, 50, 5, 0.05, 0.0) for i in range(1, 51)]
    for cycle in range(5):
        one = rates[10 * cycle : 10 * cycle + 10]
        assert one[0] == 0.05
        assert all(a > b for a, b in pairwise(one))
        assert 0 < one[-1] < 0.002


def test_more_cycles_than_iterations_is_refused() -> None:
    with pytest.raises(ConfigError, match="4 training iterations cannot hold 5 cycles"):
        cyclic_cosine(1, 4, 5, 0.05, 0.0)


def test_triangle_rises_and_falls_symmetrically() -> None:
    rates = [triangular(epoch, 7, 0.05) for epoch in range(7)]
    assert rates == pytest.approx([0.0125, 0.025, 0.0375, 0.05, 0.0375, 0.025, 0.0125])


def test_poly_starts_at_the_top_and_falls_with_power_0_9() -> None:
    assert [poly(epoch, 4, 0.001) for epoch in range(4)] == pytest.approx(
        [0.001, 0.001 * 0.75**0.9, 0.001 * 0.5**0.9, 0.001 * 0.25**0.9]
    )


def test_learning_rate_is_the_named_schedule() -> None:
    for iteration in range(1, 22):
        triangle = learning_rate("triangular", iteration, 3, 7, 5, 0.05, 0.01)
        assert triangle == triangular((iteration + 2) // 3 - 1, 7, 0.05)
        power = learning_rate("poly", iteration, 3, 7, 5, 0.05, 0.01)
        assert power == poly((iteration + 2) // 3 - 1, 7, 0.05)
        cosine = learning_rate("cyclic", iteration, 3, 7, 7, 0.05, 0.01)
        assert cosine == cyclic_cosine(iteration, 21, 7, 0.05, 0.01)


@pytest.mark.parametrize(
    ("images", "kept", "dropped"),
    [(24, 4, 4), (25, 4, 4), (26, 5, 4), (29, 5, 4), (7, 1, 1), (6, 1, 1), (5, 1, 1), (1, 1, 1)],
)
def test_a_short_batch_counts_unless_dropped_or_of_one_image_and_an_epoch_has_one(
    images: int, kept: int, dropped: int
) -> None:
    assert batches_per_epoch(images, 6, drop_last=False) == kept
    assert batches_per_epoch(images, 6, drop_last=True) == dropped
    assert batches_per_epoch(images, 1, drop_last=False) == images


def test_snapshots_are_taken_where_the_rate_is_lowest() -> None:
    assert snapshot_epochs(35, 5) == (6, 13, 20, 27, 34)
    assert snapshot_epochs(3, 3) == (0, 1, 2)
    assert snapshot_epochs(4, 1) == (3,)
    last = [learning_rate("cyclic", 2 * (epoch + 1), 2, 35, 5, 0.05, 0.0) for epoch in range(35)]
    assert [epoch for epoch in range(35) if last[epoch] == min(last)] == list(snapshot_epochs(35, 5))
