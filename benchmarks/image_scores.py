"""Scores of every image of a test set by trained networks, in files, for the paired bootstrap."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from atal_ray.data.images import resize
from atal_ray.data.record import Record
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.metrics.scores import score
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.studies import paired_bootstrap
from atal_ray.studies.paired_bootstrap import FIGURES, Figures, compared, draws, spread

__all__ = ["FIGURES", "Figures", "compared", "draws", "resampled", "score_images", "spread"]

KEYS = ("precision", "recall", "s_measure", "mae", "weighted_f")


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


def resampled(files: Sequence[Path], times: NDArray[np.float64]) -> Figures:
    """The figures in every resample, as the mean over files of `score_images`, one of each seed."""
    scores = []
    for file in files:
        with np.load(file) as kept:
            scores.append({key: kept[key] for key in KEYS if key in kept.files})
    return paired_bootstrap.resampled(scores, times)
