"""Every metric of one image, from one histogram."""

import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.emeasure import e_of
from atal_ray.metrics.fmeasure import f_measure, pr_of
from atal_ray.metrics.histogram import THRESHOLDS, Mask, Saliency, tally
from atal_ray.metrics.mae import mae_of
from atal_ray.metrics.smeasure import s_measure_of
from atal_ray.metrics.weighted import weighted_f_of

Scores = dict[str, NDArray[np.float64]]

SCALARS = (
    "mae",
    "s_measure",
    "weighted_f",
    "e_adaptive",
    "e_soft",
    "f_adaptive",
    "precision_adaptive",
    "recall_adaptive",
)
CURVES = ("precision", "recall", "f_curve", "e_curve")
"""At the thresholds 0..255."""
ROW = (*SCALARS, "f_mean", "f_best", "e_mean", "e_best")
"""Columns of a table of images, see `image_row`."""
LENGTHS = {**dict.fromkeys(SCALARS, 1), **dict.fromkeys(CURVES, THRESHOLDS)}


def score(saliency: Saliency, mask: Mask, name: str = "saliency map") -> Scores:
    """The values of an image by the names in LENGTHS, float64 [1] or [256].

    One histogram serves all metrics but the weighted F-measure, which adds one distance transform.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W].
        name: what to call the image in the message.

    Raises:
        DataError: see `check_pair`.
    """
    t = tally(saliency, mask, name)
    # 256 thresholds, then two more binary maps
    positives = np.concatenate([t.at_least, t.adaptive, t.nonzero], axis=1)
    precision, recall = pr_of(positives, t)
    f, e = f_measure(precision, recall), e_of(positives, t)
    curves, adaptive = slice(0, THRESHOLDS), slice(THRESHOLDS, THRESHOLDS + 1)
    soft = slice(THRESHOLDS + 1, None)
    return {
        "mae": np.array([mae_of(t)]),
        "s_measure": np.array([s_measure_of(t)]),
        "weighted_f": np.array([weighted_f_of(saliency, mask, t)]),
        "e_adaptive": e[adaptive],
        "e_soft": e[soft],
        "f_adaptive": f[adaptive],
        "precision_adaptive": precision[adaptive],
        "recall_adaptive": recall[adaptive],
        "precision": precision[curves],
        "recall": recall[curves],
        "f_curve": f[curves],
        "e_curve": e[curves],
    }


def image_row(scores: Scores) -> dict[str, float]:
    """One row of a table of images: every scalar, and the mean and maximum of its F and E curves."""
    row = {name: float(scores[name][0]) for name in SCALARS}
    for name in ("f", "e"):
        row |= {
            f"{name}_mean": float(scores[f"{name}_curve"].mean()),
            f"{name}_best": float(scores[f"{name}_curve"].max()),
        }
    return row
