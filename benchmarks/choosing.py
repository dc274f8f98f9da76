"""Choosing the points of an image: what it costs a core, and how much of the maps leaves a GPU for it.

    python benchmarks/choosing.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

Real images, attacked and judged by trained snapshots. Three forms take turns in one thread: as it was, with
the features of all candidates sampled; now, from whole maps, as on a CPU; and from the candidates alone, as
they leave a GPU. All three must choose the same points. Writes benchmarks/results/choosing.json.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from machine import described, provenance
from numpy.typing import NDArray
from side_by_side import paired_ratio, turns, with_one_thread
from snapshots import IMAGES, trained
from tqdm import tqdm

from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.candidates import candidate_count
from atal_ray.acquisition.crossing import bring_candidates
from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.pick import PixelPool
from atal_ray.acquisition.predictions import Predictions
from atal_ray.acquisition.seen import Seen
from atal_ray.config import AttackConfig, QueryConfig
from atal_ray.data.images import read_image, resize
from atal_ray.data.layout import find_pairs
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots

RESULT = Path(__file__).parent / "results" / "choosing.json"
MEASURES = ("atal_ray.acquisition",)
BEFORE, WHOLE, CROSSED = "features of all candidates", "whole maps", "candidates alone"
BATCH, LABELLED = 4, 4
Image = tuple[PixelPool, Seen]
Positions = NDArray[np.float64]
Points = list[list[list[int]]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots judge; made if it is not there."""
    images: int = 24
    side: int = 352
    """Pixels of the query grid."""
    k: int = 2
    """Points of an image."""
    repeats: int = 9


def judged(options: Options) -> tuple[list[Image], list[Image], int, int]:
    """The images with whole maps, the same with candidates alone, and the bytes of both that leave a GPU."""
    campaign, config = trained(options.train, options.weights, options.snapshots)
    snapshots = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    files = list(find_pairs(options.train).images.values())[IMAGES:]
    chosen = [files[i * len(files) // options.images] for i in range(options.images)]
    asking = Asking.of(QueryConfig())
    assert asking.score is not None
    whole: list[Image] = []
    alone: list[Image] = []
    bytes_of_maps = crossed = 0
    for first in tqdm(range(0, len(chosen), BATCH), desc="attack and score"):
        images = [read_image(path) for path in chosen[first : first + BATCH]]
        batch = to_batch(np.stack([resize(image, options.side) for image in images]), torch.device("cpu"))
        maps = estimate(snapshots, batch, AttackConfig())
        found = Predictions(maps.clean, maps.attacked, maps.features)
        scores = asking.score.of_batch(found)
        assert scores is not None
        pools = [pool_of(image.shape[:2], options.side, first + n) for n, image in enumerate(images)]
        counts = [candidate_count(pool.pixels, QueryConfig().top_percent, options.k) for pool in pools]
        brought = bring_candidates(found, scores, pools, counts)
        bytes_of_maps += maps.clean.nbytes + maps.attacked.nbytes + maps.features.nbytes
        crossed += sum(crossing(pool, seen) for pool, seen in brought)
        alone += brought
        whole += [(pool, found.of(number)) for number, pool in enumerate(pools)]
    return whole, alone, bytes_of_maps, crossed


def pool_of(shape: Sequence[int], side: int, seed: int) -> PixelPool:
    """All pixels of an image but a few labelled ones; no superpixels."""
    (height, width), rng = shape, np.random.default_rng(seed)
    grid, free = original_pixels(side, height, width), np.zeros((side, side), bool)
    free[np.ix_(grid.cell_rows, grid.cell_columns)] = True
    labelled = np.stack([rng.integers(width, size=LABELLED), rng.integers(height, size=LABELLED)], axis=1)
    return PixelPool(height, width, free, np.full((side, side), -1, np.int32), labelled.astype(np.int32))


def crossing(pool: PixelPool, seen: Seen) -> int:
    """Bytes of an image that `bring_candidates` moves: index and three values of a cell, index and vector."""
    assert seen.near is not None
    cells, vectors = int(np.count_nonzero(pool.free)), seen.near.values
    return cells * (8 + 3 * 4) + len(vectors) * 8 + vectors.nbytes + 1


def choose(images: Sequence[Image], k: int, sampled: Sequence[Positions] = ()) -> Points:
    """The points of every image; of some positions the features are sampled besides."""
    asking = Asking.of(QueryConfig())
    found = []
    for number, (pool, seen) in enumerate(images):
        scored = seen if seen.score.size else asking.scored(seen)
        if sampled:
            sample_bilinear(seen.features, sampled[number], len(seen.clean))
        found.append(asking.pick(pool, scored, k, np.random.default_rng(number)).xy.tolist())
    return found


def positions_of(pool: PixelPool) -> Positions:
    """Column and row of the free cells [N, 2]."""
    rows, columns = np.nonzero(pool.free)
    return np.stack([columns, rows], axis=1).astype(np.float64)


def measure(options: Options) -> dict[str, Any]:
    """Seconds of each form, and bytes."""
    torch.set_num_threads(1)
    whole, alone, of_maps, crossed = judged(options)
    candidates = [positions_of(pool) for pool, _ in alone]
    forms: dict[str, Callable[[], Points]] = {
        BEFORE: lambda: choose(whole, options.k, candidates),
        WHOLE: lambda: choose(whole, options.k),
        CROSSED: lambda: choose(alone, options.k),
    }
    first, *others = [form() for form in forms.values()]
    if any(points != first for points in others):
        raise SystemExit("the forms choose other points, so there is nothing to compare")
    found = turns(forms, options.repeats)
    count = len(whole)
    return {
        "ms_an_image": {name: 1000 * seconds / count for name, seconds in found["median_s"].items()},
        "ratios": {name: paired_ratio(found["repeats_s"], BEFORE, name) for name in (WHOLE, CROSSED)},
        "bytes_an_image": {"maps": of_maps // count, "candidates": crossed // count},
        "candidates": float(np.mean([len(positions) for positions in candidates])),
        "feature_cells": float(
            np.mean([len(seen.near.values) for _, seen in alone if seen.near is not None])
        ),
        **found,
    }


def main(options: Options) -> None:
    """Measure and write."""
    head = provenance(MEASURES)
    trained(options.train, options.weights, options.snapshots)
    figures = with_one_thread(measure, options)
    result = {"provenance": head, "options": described(options), **figures}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: figures[name] for name in ("ms_an_image", "ratios", "bytes_an_image")}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
