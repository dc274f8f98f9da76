"""A difference is decided where the images and all seeds say so."""

import numpy as np
import pytest

from atal_ray.metrics.fmeasure import max_f
from atal_ray.studies.paired_bootstrap import RESAMPLES, compared, draws, resampled, spread


def scores(seed: int, images: int = 40, better: float = 0.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    recall = np.sort(random.random((images, 256)), 1)[:, ::-1]
    level = random.uniform(0.3, 0.7, (images, 1)) + better
    return {
        "precision": np.clip(level + 0.1 * random.random((images, 256)), 0, 1),
        "recall": recall,
        "s_measure": level,
        "mae": 1 - level,
        "weighted_f": level / 2,
    }


def test_the_first_resample_is_all_images_and_the_others_are_drawn() -> None:
    one, times = scores(0), draws(40, "a")
    assert times.shape == (1 + RESAMPLES, 40)
    assert (times.sum(1) == 40).all()
    assert (draws(40, "a") == times).all()
    assert (draws(40, "b") != times).any()
    found = resampled([one], times)
    assert found["max_f"][0] == pytest.approx(max_f(one["precision"].mean(0), one["recall"].mean(0)))
    image = np.repeat(np.arange(40), times[7].astype(int))
    assert found["mae"][7] == pytest.approx(one["mae"][image].mean())
    both = resampled([one, scores(1)], times)
    assert both["s_measure"][3] == pytest.approx(
        (found["s_measure"][3] + resampled([scores(1)], times)["s_measure"][3]) / 2
    )


def test_a_difference_is_decided_by_images_and_seeds() -> None:
    times, ours = draws(40, "a"), scores(0, better=0.1)
    apart = compared(resampled([ours], times), resampled([scores(0)], times), "s_measure", [0.1, 0.09])
    assert apart["decided"]
    assert apart["difference"] == pytest.approx(0.1)
    assert apart["low"] <= 0.1 <= apart["high"] + 1e-9
    mixed = compared(resampled([ours], times), resampled([scores(0)], times), "s_measure", [0.1, -0.01])
    assert not mixed["decided"]
    same = compared(resampled([ours], times), resampled([ours], times), "mae", [0.0])
    assert not same["decided"]
    assert spread([1.0, 2.0, 6.0]) == {"mean": 3.0, "low": 1.0, "high": 6.0}
