"""Decoder features of real candidate sets, for the benchmarks of RDS: made once, then read from the
snapshots' folder.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from snapshots import CYCLES, IMAGES, trained
from tqdm import tqdm

from atal_ray.acquisition.candidates import candidate_set
from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.uncertainty import bvsb
from atal_ray.data.images import read_image, resize
from atal_ray.data.layout import find_pairs
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots

SIZE, COUNT = 352, 3_700


@dataclass(frozen=True, kw_only=True)
class CandidateOptions:
    """What the benchmarks over millions of candidates have in common."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots give the features; made if it is not there."""
    images: int = 270
    """Images with 3,700 candidates each."""
    counts: tuple[int, ...] = (1_000_000, 10_000_000)
    threads: int = os.cpu_count() or 1
    repeats: int = 5


def candidate_features(train: Path, weights: Path, folder: Path, images: int) -> NDArray[np.float32]:
    """Features [images, 3700, C] of the most uncertain pixels (margin of the last snapshot) of images it was
    not trained on.
    """
    campaign, config = trained(train, weights, folder)
    digest = hashlib.sha256(campaign.snapshots(0).read_bytes(f"{CYCLES}.pt")).hexdigest()
    cache = folder / f"candidates-{images}-{digest[:12]}.npy"
    if not cache.exists():
        network = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))[-1]
        files = list(find_pairs(train).images.values())[IMAGES:]
        chosen = [files[i * len(files) // images] for i in range(images)]
        found = np.empty((images, COUNT, network.feature_channels), np.float32)
        for row, path in zip(found, tqdm(chosen, desc="features"), strict=True):
            batch = to_batch(resize(read_image(path), SIZE)[None], torch.device("cpu"))
            with torch.inference_mode():
                probability, features = network.saliency(batch)
            score = 1 - bvsb(probability[0, 0].numpy())
            tie = np.random.default_rng(0).random(score.shape, np.float32)
            cells = candidate_set(score, np.ones(score.shape, bool), COUNT, tie)
            row[:] = sample_bilinear(
                features[0], np.stack([cells % SIZE, cells // SIZE], axis=1).astype(np.float64), SIZE
            )
        np.save(cache, found)
    loaded: NDArray[np.float32] = np.load(cache)
    return loaded


def enlarge(features: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The features again and again; every copy behind the first has its own noise."""
    whole, rng = np.empty((count, features.shape[1]), np.float32), np.random.default_rng(0)
    deviation = 0.01 * features.std(axis=0)
    for first in range(0, count, len(features)):
        part = whole[first : first + len(features)]
        part[:] = features[: len(part)]
        if first:
            part += rng.standard_normal(part.shape, np.float32) * deviation
    return whole
