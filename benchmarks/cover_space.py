"""Which distance should the cover use? Image coordinates, features, or both, on the candidate sets of real
images.

    python benchmarks/cover_space.py --train DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

For each space, the cover V of every image (10 k points) and the k picks: the cover radius in pixels and in
features (the largest distance of a candidate to V), and the share of picks with another pick within 5 px.
Points come from the trained snapshots of `benchmarks/snapshots.py`. Writes
benchmarks/results/cover_space.json, and a table of it to the terminal.
"""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from machine import provenance
from numpy.typing import NDArray
from snapshots import IMAGES, trained
from tqdm import tqdm

from atal_ray import seeding
from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.pick import PixelPool, RankedCover, rank_diverse
from atal_ray.acquisition.rds import unit_vectors
from atal_ray.acquisition.uncertainty import difference
from atal_ray.config import AttackConfig, QueryConfig
from atal_ray.data.images import read_image, resize
from atal_ray.data.layout import find_pairs
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots

RESULT = Path(__file__).parent / "results" / "cover_space.json"
MEASURES = (
    "atal_ray.acquisition.attack",
    "atal_ray.acquisition.candidates",
    "atal_ray.acquisition.ensemble",
    "atal_ray.acquisition.estimate",
    "atal_ray.acquisition.features",
    "atal_ray.acquisition.grid",
    "atal_ray.acquisition.pick",
    "atal_ray.acquisition.rds",
    "atal_ray.acquisition.uncertainty",
)
NEAR = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots ask; made if it is not there."""
    images: int = 40
    size: int = 224
    k: int = 2


CASES: dict[str, dict[str, Any]] = {
    "image": {"cover_space": "image"},
    "both, w = 0.25": {"cover_space": "both", "cover_weight": 0.25},
    "both, w = 0.5": {"cover_space": "both", "cover_weight": 0.5},
    "both, w = 0.75": {"cover_space": "both", "cover_weight": 0.75},
    "features": {"cover_space": "features"},
    "image, maxsum": {"cover_space": "image", "cover": "maxsum"},
    "features, maxsum": {"cover_space": "features", "cover": "maxsum"},
}


@dataclasses.dataclass(frozen=True)
class Asked:
    """One image with what the snapshots say about it."""

    image_id: str
    pool: PixelPool
    score: NDArray[np.float32]
    features: NDArray[np.float32]


def ask(options: Options) -> list[Asked]:
    """Images that the snapshots were not trained on, attacked and scored."""
    campaign, config = trained(options.train, options.weights, options.snapshots)
    files = list(find_pairs(options.train).images.values())[IMAGES:]
    snapshots = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    found = []
    for path in tqdm(
        [files[i * len(files) // options.images] for i in range(options.images)], desc="attack and score"
    ):
        image = read_image(path)
        height, width = image.shape[:2]
        batch = to_batch(resize(image, options.size)[None], torch.device("cpu"))
        maps = estimate(snapshots, batch, AttackConfig()).numpy()
        free, regions = (
            np.ones((options.size, options.size), bool),
            np.full((options.size, options.size), -1, np.int32),
        )
        pool = PixelPool(height, width, free, regions, np.empty((0, 2), np.int32))
        found.append(
            Asked(
                path.stem,
                pool,
                difference(maps.clean[0], maps.attacked[0], "flip-margin"),
                maps.features[0],
            )
        )
    return found


def measure(asked: Asked, case: dict[str, Any], k: int) -> dict[str, float]:
    """Cover radii and near duplicates of one image in one space."""
    config = dataclasses.replace(QueryConfig(), **case)

    def ranked(factor: int) -> RankedCover:
        rng = seeding.rng(0, "cover space", asked.image_id)
        return rank_diverse(
            asked.pool, asked.score, asked.features, k, dataclasses.replace(config, cover_factor=factor), rng
        )

    everything, cover = ranked(asked.score.size), ranked(config.cover_factor)
    picks = cover.first(k).xy
    return {
        "radius_px": radius(everything.pick.xy, cover.pick.xy),
        "radius_features": radius(unit_vectors(everything.features), unit_vectors(cover.features)),
        "near_in_cover": near(cover.pick.xy),
        "near_in_picks": near(picks),
        "distance_of_picks_px": float(np.mean(distances(picks, picks)[np.triu_indices(len(picks), 1)])),
    }


def distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Euclidean distances [N, M]."""
    return np.asarray(np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)))


def radius(candidates: NDArray[Any], cover: NDArray[Any]) -> float:
    """Largest distance of a candidate to the cover."""
    return float(distances(candidates, cover).min(axis=1).max())


def near(xy: NDArray[Any]) -> float:
    """Share of the pixels that have another one within NEAR px."""
    apart = distances(xy, xy)
    np.fill_diagonal(apart, np.inf)
    return float((apart.min(axis=1) <= NEAR).mean())


def main(options: Options) -> None:
    """Measure every case on every image, and write the means."""
    head = provenance(MEASURES)
    asked = ask(options)
    rows = []
    for name, case in CASES.items():
        found = [measure(one, case, options.k) for one in tqdm(asked, desc=name)]
        rows.append({"case": name, **{key: statistics.mean(row[key] for row in found) for key in found[0]}})
    setting = {
        "images": options.images,
        "size": options.size,
        "k": options.k,
        "cover": QueryConfig().cover_factor * options.k,
    }
    RESULT.write_text(
        json.dumps({"provenance": head, "data": "DUTS-TR", "seed": 0, **setting, "rows": rows}, indent=1)
        + "\n"
    )
    for row in rows:
        print(f"{row.pop('case'):20}", "  ".join(f"{key} {value:.3f}" for key, value in row.items()))


if __name__ == "__main__":
    main(tyro.cli(Options))
