from math import erfc, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.errors import ConfigError, DataError
from atal_ray.evaluation import bootstrap
from atal_ray.evaluation.bootstrap import paired_bootstrap
from atal_ray.seeding import rng


def scores(mae: list[float], s_measure: list[float] | None = None, ids: list[str] | None = None) -> pa.Table:
    columns = {"image_id": ids or [f"{i:04d}" for i in range(len(mae))], "mae": pa.array(mae, pa.float64())}
    return pa.table(
        columns if s_measure is None else {**columns, "s_measure": pa.array(s_measure, pa.float64())}
    )


def spread(count: int, mean: float, deviation: float) -> list[float]:
    """Values with exactly this mean and deviation, shaped like a normal sample."""
    values = np.random.default_rng(0).normal(size=count)
    return list(mean + deviation * (values - values.mean()) / values.std())


def test_equals_the_naive_loop() -> None:
    generator = np.random.default_rng(1)
    values = [[generator.random(23) for _ in ("mae", "s_measure")] for _ in range(2)]
    a, b = (dict[str, Any](zip(("mae", "s_measure"), pair, strict=True)) for pair in values)
    found = paired_bootstrap(scores(**a), scores(**b), resamples=200, seed=5, level=0.9)
    for name in ("mae", "s_measure"):
        draws = rng("paired bootstrap", 5)
        drawn = []
        for _ in range(200):
            picked = [int(draws.integers(23)) for _ in range(23)]
            drawn.append(sum(a[name][i] for i in picked) / 23 - sum(b[name][i] for i in picked) / 23)
        below, above = sum(value <= 0 for value in drawn), sum(value >= 0 for value in drawn)
        expected = (
            a[name].mean() - b[name].mean(),
            *np.percentile(drawn, [5, 95]),
            min(1, 2 * (1 + min(below, above)) / 201),
        )
        result = found[name]
        np.testing.assert_allclose((result.mean, result.low, result.high, result.p), expected, atol=1e-12)
        assert result.images == 23


@pytest.mark.parametrize("shift", [0.0, 0.01, -0.02])
def test_a_normal_sample_has_the_normal_interval(shift: float) -> None:
    images, deviation = 400, 0.2
    a = scores(spread(images, shift, deviation))
    found = paired_bootstrap(a, scores([0.0] * images), resamples=4000)["mae"]
    error = deviation / sqrt(images)
    assert found.mean == pytest.approx(shift, abs=1e-12)
    assert found.low == pytest.approx(shift - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(shift + 1.96 * error, abs=0.1 * error)
    assert found.p == pytest.approx(min(1, erfc(abs(shift) / error / sqrt(2))), abs=0.04)


def test_swapped_methods_mirror_the_interval() -> None:
    a, b = scores(spread(50, 0.1, 0.2)), scores([0.0] * 50)
    one, other = paired_bootstrap(a, b, 100)["mae"], paired_bootstrap(b, a, 100)["mae"]
    assert (one.mean, one.p) == (-other.mean, other.p)
    np.testing.assert_allclose([one.low, one.high], [-other.high, -other.low])


def test_neither_order_nor_block_changes_a_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = scores(spread(31, 0.1, 0.2)), scores(spread(31, 0.0, 0.1))
    found = paired_bootstrap(a, b, 50)
    assert paired_bootstrap(a.take(list(range(30, -1, -1))), b, 50) == found
    assert paired_bootstrap(a, b, 50, seed=1) != found
    monkeypatch.setattr(bootstrap, "_BLOCK", 7 * 31)
    blocks = paired_bootstrap(a, b, 50)["mae"]
    np.testing.assert_allclose(
        (blocks.low, blocks.high, blocks.p), (found["mae"].low, found["mae"].high, found["mae"].p), atol=1e-15
    )


def test_equal_methods_differ_by_nothing_and_a_sure_difference_has_the_smallest_p() -> None:
    a = scores(spread(20, 0.5, 0.1))
    same = paired_bootstrap(a, a, 99)["mae"]
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert paired_bootstrap(a, scores([0.0] * 20), 99)["mae"].p == 0.02


def test_scores_that_do_not_pair_are_named() -> None:
    a = scores([0.1, 0.2], ids=["x", "y"])
    with pytest.raises(DataError, match="2 images are in one table only, 'w' is not in the first"):
        paired_bootstrap(a, scores([0.1, 0.2], ids=["w", "y"]))
    with pytest.raises(DataError, match="1 image is in one table only, 'y' is not in the second"):
        paired_bootstrap(a, scores([0.1], ids=["x"]))
    with pytest.raises(DataError, match="second table has 'x' more than once"):
        paired_bootstrap(a, scores([0.1, 0.2], ids=["x", "x"]))
    with pytest.raises(DataError, match="second table has no mae for 'y'"):
        paired_bootstrap(a, scores([0.1, float("nan")], ids=["x", "y"]))
    with pytest.raises(DataError, match="no float64 column is in both"):
        paired_bootstrap(a, a.rename_columns(["image_id", "s_measure"]))
    with pytest.raises(DataError, match="first table has no column image_id"):
        paired_bootstrap(a.drop_columns(["image_id"]), a)
    with pytest.raises(DataError, match="no image"):
        paired_bootstrap(a.slice(0, 0), a.slice(0, 0))


def test_impossible_settings_are_refused() -> None:
    a = scores([0.1, 0.2])
    with pytest.raises(ConfigError, match="resamples is 0"):
        paired_bootstrap(a, a, resamples=0)
    with pytest.raises(ConfigError, match=r"level is 95"):
        paired_bootstrap(a, a, level=95)
