"""Why do asked points lie close to the border? The share of the outer 5 % at each step of a query.

    python benchmarks/border_picks.py --train DUTS-TR --weights resnet50.pth --out runs/border

For networks that are trained for few and for more epochs on the same points: the share of pixels in the outer
5 % of the sides (19 % of the area) among all free pixels, the candidate set, the cover V and the picks. Then
what may cause it is taken away, one at a time: the most uncertain pixels without RDS, k pixels of V at random
instead of the least similar ones (Eq. 10), V by Algorithm 1 as printed, a network that sees the image with a
reflected frame around it (so that the padding of its convolutions lies outside of the image), other scores,
and `query.margin`. Writes benchmarks/results/border_picks.json, and a table of it to the terminal.
"""

import dataclasses
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from machine import provenance
from numpy.typing import NDArray
from tqdm import tqdm

from atal_ray import seeding
from atal_ray.acquisition.candidates import candidate_count, candidate_set
from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.pick import PixelPool, RankedCover, pick_uncertain, rank_diverse
from atal_ray.acquisition.registered import SCORES
from atal_ray.acquisition.seen import Seen
from atal_ray.campaign.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.campaign.query.load import LoadedShard, load_shard
from atal_ray.campaign.run import run_campaign
from atal_ray.config import AttackConfig, Config, QueryConfig, config_file, presets
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.store.folder import Folder

RESULT = Path(__file__).parent / "results" / "border_picks.json"
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
    "atal_ray.networks.f3net",
    "atal_ray.networks.f3net_small",
    "atal_ray.training",
)
BAND = 0.05
FRAME = 32
"""Pixels of the reflected frame on each side; the sides of every network's input are multiples of it."""
PROFILE = (0.0, 0.025, 0.05, 0.1, 0.2, 0.5)
"""Distances to the nearest border as shares of its side, between which the mean score is given."""
TRAININGS = (("f3net-small", 2), ("f3net-small", 10), ("f3net-small", 40), ("f3net", 2), ("f3net", 8))
"""Network, and epochs of its training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of a ResNet-50 that strides on its 1x1 convolutions."""
    out: Path = Path("runs/border")
    """Where the campaigns go whose snapshots ask; those that are there are taken as they are."""
    images: int = 30
    """Images that are trained on."""
    scored: int = 12
    """How many of them are scored and asked about."""
    size: int = 96
    k: int = 2
    """Random points that are trained on, and points asked, of each image."""
    repeats: int = 3
    """Seeds of the ties."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """One image with what the snapshots say about it."""

    image_id: str
    pool: PixelPool
    clean: NDArray[np.float32]
    attacked: NDArray[np.float32]
    features: NDArray[np.float32]

    def score(self, config: QueryConfig) -> NDArray[np.float32]:
        """Uncertainty [S, S] by the score of a configuration, or ATAL's own."""
        seen = Seen(self.clean, self.attacked)
        return np.asarray(SCORES.find(config.score or "flip-margin")()(seen), np.float32)


def configure(options: Options, network: str, epochs: int) -> Config:
    """One round on random points, two snapshots."""
    base, small = presets.cpu_small(), network == "f3net-small"  # which starts from random weights
    return dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, train=str(options.train), tests=(), limit=options.images),
        network=dataclasses.replace(
            base.network, name=network, weights=None if small else str(options.weights), stride_on="1x1"
        ),
        train=dataclasses.replace(
            base.train,
            size=options.size,
            scales=(options.size,),
            epochs=epochs,
            cycles=2,
            batch_size=8,
            threads=1,
        ),
        budget=dataclasses.replace(base.budget, total=options.k, start=options.k, per_round=options.k),
        resources=dataclasses.replace(base.resources, backend="inline"),
    )


def trained(options: Options, network: str, epochs: int) -> tuple[CampaignFolder, Config]:
    """The finished campaign, made where it is not there."""
    folder = options.out / f"{network}-{epochs}"
    config = config_file.absolute(configure(options, network, epochs))
    campaign = CampaignFolder(Folder(str(folder)))
    if not campaign.is_committed(0):
        run_campaign(config, folder)
    return campaign, config


def ask(campaign: CampaignFolder, config: Config, scored: int, frame: int) -> list[Asked]:
    """The first training images, scored with a reflected frame of so many pixels around them."""
    row = {"shard": 0, "start": 0, "stop": min(scored, campaign.root.count_rows(MANIFEST))}
    shard = LoadedShard.from_row(load_shard(row, campaign, config, 0))
    snapshots = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    return [_score(shard, index, snapshots, frame) for index in tqdm(range(len(shard.image_id)))]


def _score(shard: LoadedShard, index: int, snapshots: Sequence[SaliencyNetwork], frame: int) -> Asked:
    image = np.pad(shard.images[index], ((frame, frame), (frame, frame), (0, 0)), mode="reflect")
    maps = estimate(snapshots, to_batch(image[None], torch.device("cpu")), AttackConfig()).numpy()
    xy, _ = shard.points_of(index)
    pool = PixelPool(
        int(shard.height[index]), int(shard.width[index]), shard.free[index], shard.superpixels[index], xy
    )
    inner = frame * maps.features.shape[-1] // image.shape[0]
    return Asked(
        str(shard.image_id[index]),
        pool,
        _without(frame, maps.clean[0]),
        _without(frame, maps.attacked[0]),
        _without(inner, maps.features[0]),
    )


def _without(frame: int, maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps [..., S, S] without the frame."""
    side = maps.shape[-1]
    return np.ascontiguousarray(maps[..., frame : side - frame, frame : side - frame])


def distance_to_border(rows: NDArray[Any], columns: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Distance of cells of the grid to the nearest border, as a share of the side, 0 to 0.5."""
    across, down = (columns + 0.5) / size, (rows + 0.5) / size
    nearest: NDArray[np.float64] = np.minimum.reduce([across, 1 - across, down, 1 - down])
    return nearest


def measure(images: list[Asked], options: Options, repeat: int) -> dict[str, float]:
    """Share of the band among the pixels of each step, over all images."""
    found: dict[str, list[NDArray[np.bool_]]] = {}
    for image in images:
        for name, (rows, columns) in steps(image, options, repeat).items():
            inside = distance_to_border(rows, columns, len(image.clean)) < BAND
            found.setdefault(name, []).append(inside)
    return {name: float(np.mean(np.concatenate(parts))) for name, parts in found.items()}


def steps(image: Asked, options: Options, repeat: int) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Rows and columns on the grid of the pixels that each step of the query, or a variant of it, keeps."""
    config, k = QueryConfig(), options.k

    def cover(**changes: Any) -> RankedCover:
        chosen = dataclasses.replace(config, **changes)
        rng = seeding.rng(repeat, "border picks", image.image_id)
        return rank_diverse(image.pool, image.score(chosen), image.features, k, chosen, rng)

    def within(margin: float) -> tuple[NDArray[Any], NDArray[Any]]:
        rng = seeding.rng(repeat, "border picks", image.image_id)
        pool = image.pool.within(margin, k)
        return rank_diverse(pool, image.score(config), image.features, k, config, rng).first(k).cells

    def uncertain(**changes: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        rng = seeding.rng(repeat, "border picks", image.image_id)
        score = image.score(dataclasses.replace(config, **changes))
        return pick_uncertain(image.pool, score, k, rng).cells

    rng = seeding.rng(repeat, "border picks, cover", image.image_id)
    ranked = cover()
    rows, columns = ranked.pick.cells
    any_k = rng.permutation(len(rows))[:k]
    tie = rng.random(image.clean.shape, np.float32)
    count = candidate_count(tie.size, config.top_percent, 0)
    candidates = candidate_set(image.score(config), image.pool.free, count, tie)
    free_rows, free_columns = np.nonzero(image.pool.free)
    return {
        "free pixels": (free_rows, free_columns),
        "candidates": np.divmod(candidates, len(image.clean)),
        "cover V": (rows, columns),
        "picks": ranked.first(k).cells,
        "most uncertain, without RDS": uncertain(),
        "any k of V": (rows[any_k], columns[any_k]),
        "V by maxsum": cover(cover="maxsum").first(k).cells,
        "V in features": cover(cover_space="features").first(k).cells,
        "V of k": cover(cover_factor=1).first(k).cells,
        "margin 0.05": within(BAND),
        "score entropy": cover(score="entropy").first(k).cells,
        "score margin-change": cover(score="margin-change").first(k).cells,
    }


def profile(images: list[Asked]) -> list[float]:
    """Mean score over the mean score of the image, between the distances of PROFILE."""
    size = len(images[0].clean)
    rows, columns = np.indices((size, size))
    where = distance_to_border(rows, columns, size)
    relative = np.mean([score / score.mean() for score in (i.score(QueryConfig()) for i in images)], axis=0)
    return [float(relative[(where >= low) & (where < high)].mean()) for low, high in pairwise(PROFILE)]


def tied(images: list[Asked]) -> float:
    """Share of the candidates whose score another pixel of the image has too."""
    shares = []
    for image in images:
        score = image.score(QueryConfig())
        values, index, counts = np.unique(score, return_inverse=True, return_counts=True)
        del values
        order = np.argsort(score.ravel())[-max(1, int(score.size * QueryConfig().top_percent / 100)) :]
        shares.append(float((counts[index.ravel()[order]] > 1).mean()))
    return float(np.mean(shares))


def examine(images: list[Asked], options: Options) -> dict[str, Any]:
    """All figures of some scored images."""
    repeats = [measure(images, options, repeat) for repeat in range(options.repeats)]
    return {
        "band_share": {name: float(np.mean([found[name] for found in repeats])) for name in repeats[0]},
        "score_profile": profile(images),
        "tied_candidates": tied(images),
    }


def main(options: Options) -> None:
    """Measure every training; the figures are written after each."""
    head = provenance(MEASURES)
    head |= {"data": "DUTS-TR", "band": BAND, "frame": FRAME, "profile": list(PROFILE)}
    setting = dataclasses.asdict(options)
    setting = {name: setting[name] for name in ("images", "scored", "size", "k", "repeats")}
    rows: list[dict[str, Any]] = []
    for network, epochs in TRAININGS:
        campaign, config = trained(options, network, epochs)
        found = {
            "plain": examine(ask(campaign, config, options.scored, 0), options),
            "reflected frame": examine(ask(campaign, config, options.scored, FRAME), options),
        }
        rows.append({"network": network, "epochs": epochs, **found})
        RESULT.write_text(json.dumps({"provenance": head, **setting, "rows": rows}, indent=1) + "\n")
        for name, figures in found.items():
            show(f"{network}, {epochs} epochs, {name}", figures)


def show(title: str, figures: dict[str, Any]) -> None:
    """Print the figures of one training."""
    print(f"{title}: tied {figures['tied_candidates']:.2f}")
    print("  profile", "  ".join(f"{value:.2f}" for value in figures["score_profile"]))
    for step, share in figures["band_share"].items():
        print(f"  {step:28} {share:.3f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
