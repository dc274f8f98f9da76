import numpy as np
import pytest
from pairs import every_kind, many_seeds, random_pair

from atal_ray.metrics.emeasure import e_adaptive, e_curve, e_soft
from atal_ray.metrics.fmeasure import f_adaptive, f_curve, pr_curve
from atal_ray.metrics.mae import mae
from atal_ray.metrics.scores import LENGTHS, image_row, score
from atal_ray.metrics.smeasure import s_measure
from atal_ray.metrics.weighted import weighted_f


@every_kind
@many_seeds
def test_one_look_gives_what_every_metric_gives_alone(seed: int, kind: str) -> None:
    pair = random_pair(seed, kind)
    found = score(*pair)
    assert {name: values.shape for name, values in found.items()} == {
        name: (length,) for name, length in LENGTHS.items()
    }
    alone = {
        "mae": mae,
        "s_measure": s_measure,
        "weighted_f": weighted_f,
        "e_adaptive": e_adaptive,
        "e_soft": e_soft,
        "f_adaptive": f_adaptive,
    }
    for name, metric in alone.items():
        assert found[name][0] == metric(*pair)
    for name, curve in {
        "precision": pr_curve(*pair)[0],
        "recall": pr_curve(*pair)[1],
        "f_curve": f_curve(*pair),
        "e_curve": e_curve(*pair),
    }.items():
        np.testing.assert_array_equal(found[name], curve)


@many_seeds
def test_row_of_an_image_sums_its_curves_up(seed: int) -> None:
    found = score(*random_pair(seed))
    row = image_row(found)
    assert row["f_mean"] == pytest.approx(found["f_curve"].mean())
    assert row["f_best"] == max(found["f_curve"])
    assert row["e_mean"] == pytest.approx(found["e_curve"].mean())
    assert row["e_best"] == max(found["e_curve"])
    assert row["mae"] == found["mae"][0]
    assert not set(row) & {"precision", "recall", "f_curve", "e_curve"}
