"""What does Ray Data cost? A whole query through its pipeline against a hand-written loop in one process, on
the same images.

    python benchmarks/query_pipeline.py --train DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

F3Net-ResNet-50, five trained snapshots (made where they are not there yet); the images they were trained on
are repeated under other names. The loop decodes, attacks and scores in batches of the same size and keeps the
picks in a list; the pipeline writes its files of picks. Two loops at once, each over all images, say what the
second core is worth. Start-up and end are apart: the clock starts when each worker has finished a shard, and
stops while there still is something to load; at least 40 shards lie between. Cases take turns, each in
processes of its own, and must pick the same points; a ratio is the median of those of the turns. An hour on
two cores. Figures go to benchmarks/results/query_pipeline.json and, with every run, to the terminal.
"""

import dataclasses
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
import tyro
from machine import provenance
from side_by_side import paired_ratio
from snapshots import IMAGES, configure, trained

from atal_ray import seeding
from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.pick import PixelPool, pick_diverse
from atal_ray.acquisition.uncertainty import difference
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, CampaignFolder
from atal_ray.campaign.query.load import load_shard, loaded_bytes
from atal_ray.campaign.query.score import PickShard
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.data.record import Record, records
from atal_ray.inference.prepared import prepare_snapshots
from atal_ray.labels.points import PointIndex
from atal_ray.labels.regions import covered
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.runtime import shards
from atal_ray.runtime.session import campaign_session
from atal_ray.runtime.shard_files import part_name
from atal_ray.store.folder import Folder

RESULT = Path(__file__).parent / "results" / "query_pipeline.json"
MEASURES = (
    "atal_ray.acquisition.estimate",
    "atal_ray.acquisition.pick",
    "atal_ray.campaign.query.load",
    "atal_ray.campaign.query.score",
    "atal_ray.inference",
    "atal_ray.runtime.shards",
)
AHEAD = 4
"""Loaded shards that wait for an actor: when the last ones are loaded, the actors have the machine for
themselves.
"""
LEAST_SHARDS = 40
Picks = list[tuple[str, int, int]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots ask; made if it is not there."""
    images: int = 208
    """A multiple of `shard`."""
    side: int = 160
    """Pixels of the query grid."""
    shard: int = 4
    """Images in a shard, and in a batch."""
    repeats: int = 5


# Processes at once, and actors of each (0: the loop); one thread a worker
CASES: dict[str, tuple[int, int]] = {
    "loop": (1, 0),
    "2 loops": (2, 0),
    "1 actor": (1, 1),
    "2 actors": (1, 2),
}
RATIOS = {
    "one actor to the loop": ("1 actor", "loop"),
    "two actors to one": ("2 actors", "1 actor"),
    "two loops to one": ("2 loops", "loop"),
}


def asking(options: Options) -> CampaignFolder:
    """The campaign whose images are asked about."""
    return CampaignFolder(Folder(str(options.snapshots / "pipeline")))


def repeat(trained: CampaignFolder, config: Config, options: Options) -> None:
    """Make that campaign: the trained one's snapshots, and its images and points as often as it takes."""
    made, copies = asking(options), -(-options.images // IMAGES)
    made.root.delete()
    made.root.write_table(MANIFEST, renamed(trained.root.read_table(MANIFEST), copies))
    made.round(0).write_table(POINTS, renamed(trained.points(0), copies))
    for name in trained.snapshots(0).names():
        made.snapshots(0).write_bytes(name, trained.snapshots(0).read_bytes(name))
    for batch in made.images(config):
        for record in batch:
            made.superpixels(config).get(record, read_image(record.image))  # no case is to find fewer of them


def renamed(table: pa.Table, copies: int) -> pa.Table:
    """A table as often as it takes, with another beginning of its image_ids each time."""
    column, ids = table.column_names.index("image_id"), table["image_id"].to_pylist()
    named = ([f"{copy:03d}-{image_id}" for image_id in ids] for copy in range(copies))
    return pa.concat_tables(table.set_column(column, "image_id", [names]) for names in named)


def measured_shards(actors: int, options: Options) -> tuple[int, int]:
    """The first and the last shard between which the clock runs."""
    workers = max(1, actors)
    return workers, options.images // options.shard - AHEAD * workers


def measure(actors: int, options: Options) -> tuple[float, Picks]:
    """Images a second without start-up, and the picks, sorted."""
    base = configure(options.train, options.weights)
    config = dataclasses.replace(
        base,
        train=dataclasses.replace(base.train, size=options.side, scales=(options.side,)),
        query=dataclasses.replace(base.query, shard_size=options.shard, batch_size=options.shard, threads=1),
        budget=dataclasses.replace(base.budget, total=12, start=10, per_round=2),
        resources=dataclasses.replace(base.resources, query_actors=max(1, actors), gpus="none"),
    )
    campaign = asking(options)
    times, picks = pipeline(campaign, config, options) if actors else loop(campaign, config, options)
    first, last = measured_shards(actors, options)
    return (last - first) * options.shard / (times[last - 1] - times[first - 1]), sorted(picks)


def pipeline(campaign: CampaignFolder, config: Config, options: Options) -> tuple[list[float], Picks]:
    """When each shard was finished, and the picks that the actors wrote."""
    parts = campaign.root / "benchmark.parts"
    arguments: dict[str, Any] = {"campaign": campaign, "config": config, "round_number": 0}
    rows, times = shards.shard_rows(options.images, options.shard), []
    with campaign_session(config):
        for _ in shards.run_shards(
            rows,
            shards.Pool.of_query(config, network=False),
            load=partial(load_shard, **arguments),
            actor=PickShard,
            arguments={**arguments, "parts": parts},
            title="pipeline",
            total=options.images,
            loaded_bytes=loaded_bytes(config),
        ):
            times.append(time.perf_counter())
    tables = [parts.read_table(part_name(row["shard"], "picks")).to_pylist() for row in rows]
    parts.delete()
    return times, [(pick["image_id"], pick["x"], pick["y"]) for table in tables for pick in table]


def loop(campaign: CampaignFolder, config: Config, options: Options) -> tuple[list[float], Picks]:
    """The same work as plain code: one image after another, a batch at a time."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    read = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    snapshots = prepare_snapshots(
        read, [[options.side]] * len(read), options.shard, config.query.precision, torch.device("cpu")
    )
    points, superpixels = PointIndex(campaign.points(0)), campaign.superpixels(config)
    rows = campaign.root.read_rows(MANIFEST, 0, options.images)
    manifest = records(rows, campaign.training_data(config))
    times: list[float] = []
    picks: Picks = []
    for start in range(0, len(manifest), options.shard):
        batch = manifest[start : start + options.shard]
        images, pools = [], []
        for record in batch:
            image = read_image(record.image)
            images.append(resize(image, options.side))
            pools.append(
                make_pool(record, superpixels.get(record, image), points.of(record.image_id)[0], options.side)
            )
        maps = estimate(snapshots, to_batch(np.stack(images), torch.device("cpu")), config.attack).numpy()
        for index, (record, pool) in enumerate(zip(batch, pools, strict=True)):
            score = difference(maps.clean[index], maps.attacked[index], "flip-margin")
            rng = seeding.rng(config.seed, "query", 0, record.image_id)
            pick = pick_diverse(pool, score, maps.features[index], config.budget.per_round, config.query, rng)
            picks += [(record.image_id, int(x), int(y)) for x, y in pick.xy]
        times.append(time.perf_counter())
    return times, picks


def make_pool(
    record: Record, superpixels: np.ndarray[Any, np.dtype[np.int32]], xy: Any, side: int
) -> PixelPool:
    """The pixels of an image that may be asked for."""
    grid = original_pixels(side, record.height, record.width)
    kept, pixels = np.ix_(grid.cell_rows, grid.cell_columns), np.ix_(grid.rows, grid.columns)
    free, on_grid = np.zeros((side, side), bool), np.full((side, side), -1, np.int32)
    free[kept] = ~covered(superpixels, xy, (record.height, record.width))[pixels]
    on_grid[kept] = superpixels[pixels]
    return PixelPool(record.height, record.width, free, on_grid, xy)


def main(options: Options) -> None:
    """Measure the cases in turns and write the figures."""
    head = provenance(MEASURES)
    for name, (_, actors) in CASES.items():
        first, last = measured_shards(actors, options)
        if last - first < LEAST_SHARDS:
            raise SystemExit(f"{name}: {last - first} shards say nothing: at least {LEAST_SHARDS}, please")
    repeat(*trained(options.train, options.weights, options.snapshots), options)
    found: dict[str, list[float]] = {name: [] for name in CASES}
    expected: Picks = []
    for turn in range(options.repeats):
        for name, (processes, actors) in CASES.items():
            with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
                rates, picks = zip(
                    *pool.map(measure, [actors] * processes, [options] * processes), strict=True
                )
            expected = expected or picks[0]
            if any(picked != expected for picked in picks):
                raise SystemExit(f"{name}: other points than the rival's, so there is nothing to compare")
            found[name].append(sum(rates))
            print(f"{turn + 1}/{options.repeats} {name:10} {sum(rates):8.3f} images/s", flush=True)
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    ratios = {name: paired_ratio(found, one, other) for name, (one, other) in RATIOS.items()}
    for name, value in {**medians, **ratios}.items():
        print(f"{name:36} {value:8.3f}")
    settings = {
        **asdict(options),
        "train": options.train.name,
        "weights": options.weights.name,
        "snapshots": None,
    }
    result = {
        "provenance": head,
        "options": settings,
        "images_per_s": found,
        "measured_shards": {
            name: last - first
            for name, (_, actors) in CASES.items()
            for first, last in [measured_shards(actors, options)]
        },
        "medians": medians,
        "ratios": ratios,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
