"""Comparison with the field's reference package, where it is installed."""

import numpy as np
import pytest

from atal_ray.metrics.accumulator import Accumulator
from atal_ray.metrics.fmeasure import pr_curve
from atal_ray.metrics.mae import mae
from atal_ray.metrics.smeasure import s_measure

reference = pytest.importorskip("py_sod_metrics", reason="needs pysodmetrics")


def make_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :50]
    distance = np.hypot(rows - rng.integers(12, 28), columns - rng.integers(15, 35))
    soft = 1 / (1 + np.exp((distance - rng.integers(5, 12)) / 2)) + 0.1 * rng.standard_normal(distance.shape)
    return (soft.clip(0, 1) * rng.integers(100, 256)).astype(np.uint8), distance < 9


@pytest.mark.filterwarnings("ignore:This class will be removed")
def test_metrics_equal_the_reference() -> None:
    accumulator, maes, structure, curves = Accumulator(), reference.MAE(), reference.Smeasure(), reference.Fmeasure()
    for seed in range(10):
        saliency, mask = make_pair(seed)
        accumulator.add(saliency, mask)
        for metric in (maes, structure, curves):
            metric.step(saliency, mask.astype(np.uint8) * 255)
        precision, recall = pr_curve(saliency, mask)
        assert mae(saliency, mask) == pytest.approx(maes.maes[-1], abs=1e-12)
        assert s_measure(saliency, mask) == pytest.approx(structure.sms[-1], abs=1e-12)
        np.testing.assert_array_equal(precision[::-1], curves.precisions[-1])
        np.testing.assert_array_equal(recall[::-1], curves.recalls[-1])
    summary, means = accumulator.summary(), curves.get_results()["pr"]
    assert summary.mae == pytest.approx(maes.get_results()["mae"], abs=1e-12)
    assert summary.s_measure == pytest.approx(structure.get_results()["sm"], abs=1e-12)
    np.testing.assert_allclose(summary.precision[::-1], means["p"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(summary.recall[::-1], means["r"], rtol=0, atol=1e-12)
