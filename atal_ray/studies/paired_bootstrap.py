"""How sure a difference between two networks is: the paired bootstrap over the images of a test set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.fmeasure import max_f
from atal_ray.seeding import rng

FIGURES = ("max_f", "s_measure", "mae", "weighted_f")
RESAMPLES = 2000
Figures = dict[str, NDArray[np.float64]]
"""Each of FIGURES [1 + resamples]: of all images as they are, then of each resample."""
ImageScores = Mapping[str, NDArray[np.float64]]
"""precision and recall [N, 256], s_measure, mae and weighted_f [N, 1], of N images in one order."""


def draws(images: int, *key: str) -> NDArray[np.float64]:
    """How often each image counts [1 + resamples, images]: once, then as drawn."""
    drawn = rng(*key).integers(images, size=(RESAMPLES, images))
    return np.stack([np.ones(images), *(np.bincount(draw, minlength=images) for draw in drawn)])


def resampled(scores: Sequence[ImageScores], times: NDArray[np.float64]) -> Figures:
    """The figures in every resample, as the mean over networks, one of each seed.

    Args:
        scores: of each network.
        times: from `draws`, or rows of it.
    """
    found: dict[str, Any] = {figure: 0.0 for figure in FIGURES}
    for kept in scores:
        means = {key: times @ values / times.shape[1] for key, values in kept.items()}
        best = [max_f(p, r) for p, r in zip(means["precision"], means["recall"], strict=True)]
        found["max_f"] = found["max_f"] + np.array(best) / len(scores)
        for figure in FIGURES[1:]:
            if figure in means:
                found[figure] = found[figure] + means[figure][:, 0] / len(scores)
    return found


def compared(ours: Figures, theirs: Figures, figure: str, by_seed: Sequence[float]) -> dict[str, Any]:
    """How much a figure differs: the mean over seeds, the 95 % interval of the paired bootstrap, each seed,
    and whether it is decided: the interval leaves out 0, and all seeds agree in sign.

    Args:
        ours: from `resampled`.
        theirs: of the same seeds and resamples.
        figure: which.
        by_seed: the difference of each seed.
    """
    apart = ours[figure] - theirs[figure]
    low, high = np.quantile(apart[1:], [0.025, 0.975])
    return {
        "difference": float(apart[0]),
        "low": float(low),
        "high": float(high),
        "of_each_seed": list(by_seed),
        "decided": bool((low > 0 or high < 0) and len({value > 0 for value in by_seed}) == 1),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and range over seeds."""
    return {"mean": float(np.mean(values)), "low": min(values), "high": max(values)}
