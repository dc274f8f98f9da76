"""Scores of every image of a test set by trained networks, and the paired bootstrap over the images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from atal_ray.campaign.evaluate import predict, saliency_maps
from atal_ray.data.images import resize
from atal_ray.data.record import Record
from atal_ray.metrics.fmeasure import max_f
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.metrics.scores import score
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.seeding import rng

KEYS = ("precision", "recall", "s_measure", "mae", "weighted_f")
FIGURES = ("max_f", "s_measure", "mae", "weighted_f")
RESAMPLES = 2000
Figures = dict[str, NDArray[np.float64]]
"""Each of FIGURES [1 + resamples]: of all images as they are, then of each resample."""


def score_images(
    networks: Sequence[SaliencyNetwork], size: int, images: Sequence[Record], file: Path
) -> None:
    """Leave the scores of each image by the mean map of the networks in NAME.npz, and in NAME.flips.npz those
    by the mean with its mirror image's; each file appears whole.

    Args:
        networks: frozen, in evaluation mode, on the CPU.
        size: side of the square that images are resized to.
        images: of the test set, with masks.
        file: NAME.npz.
    """
    files = file, file.with_suffix(".flips.npz")
    if all(one.exists() for one in files):
        return
    found: list[dict[str, list[Any]]] = [{key: [] for key in KEYS} for _ in files]
    for record in images:
        mask = record.read_mask().astype(bool)
        x = to_batch(np.stack([resize(record.read_image(), size)]), torch.device("cpu"))
        plain = predict(list(networks), x)
        mirrored = predict(list(networks), x.flip(-1)).flip(-1)
        for kept, logits in zip(found, (plain, torch.cat([plain, mirrored])), strict=True):
            saliency = saliency_maps(logits[:, 0], mask.shape).mean(0).clamp(0, 1).numpy()
            scores = score(to_uint8(saliency), mask)
            for key, values in kept.items():
                values.append(scores[key])
    file.parent.mkdir(parents=True, exist_ok=True)
    for one, kept in zip(files, found, strict=True):
        arrays: dict[str, Any] = {key: np.stack(values) for key, values in kept.items()}
        part = one.with_suffix(".part.npz")
        np.savez_compressed(part, **arrays)
        part.replace(one)


def draws(images: int, *key: str) -> NDArray[np.float64]:
    """How often each image counts [1 + resamples, images]: once, then as drawn."""
    drawn = rng(*key).integers(images, size=(RESAMPLES, images))
    return np.stack([np.ones(images), *(np.bincount(draw, minlength=images) for draw in drawn)])


def resampled(files: Sequence[Path], times: NDArray[np.float64]) -> Figures:
    """The figures in every resample, as the mean over files, one of each seed.

    Args:
        files: from `score_images`.
        times: from `draws`.
    """
    found: dict[str, Any] = {figure: 0.0 for figure in FIGURES}
    for file in files:
        with np.load(file) as kept:
            keys = [key for key in KEYS if key in kept.files]
            means = {key: times @ kept[key] / times.shape[1] for key in keys}
        best = [max_f(p, r) for p, r in zip(means["precision"], means["recall"], strict=True)]
        found["max_f"] = found["max_f"] + np.array(best) / len(files)
        for figure in FIGURES[1:]:
            if figure in means:
                found[figure] = found[figure] + means[figure][:, 0] / len(files)
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
