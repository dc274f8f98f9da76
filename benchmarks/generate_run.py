"""Points for 5,000 real images by `jobs/generate.py`: is its memory flat and its speed steady, and what does
a kill cost?

    python benchmarks/generate_run.py --train DUTS-TR --folder /tmp/generate

A small network that a short campaign has trained asks, on the CPU. The job is killed by SIGKILL when half of
the shards are done, and started again. While it runs, the memory that is its own (USS) of the driver and of
all its Ray processes is sampled, and the shards that are done are counted. A finished shard is never done
again: the second call says how many images it asked about. Writes benchmarks/results/generate_run.json.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tyro
from machine import provenance

from atal_ray.campaign.campaign_folder import POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import (
    AttackConfig,
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    QueryConfig,
    ResourceConfig,
    TrainConfig,
)
from atal_ray.runtime.throughput import THROUGHPUT
from atal_ray.store.folder import Folder

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "generate_run.json"
MEASURES = (
    "atal_ray.campaign.generate",
    "atal_ray.campaign.query",
    "atal_ray.runtime.shards",
)
MIB = 2**20
SAMPLE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """Folder of real images with masks, in the layout of DUTS-TR."""
    folder: Path
    """Where everything goes."""
    images: int = 5000
    side: int = 96
    shard: int = 32
    actors: int = 1
    points: int = 4


@dataclass
class Watch:
    """Samples of one call of the job."""

    seconds: list[float] = field(default_factory=list)
    shards: list[int] = field(default_factory=list)
    driver_mib: list[float] = field(default_factory=list)
    workers_mib: list[float] = field(default_factory=list)


def config_of(options: Options) -> Config:
    """One round on 24 images: enough for snapshots that differ."""
    return Config(
        data=DataConfig(train=str(options.train), limit=24),
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(
            size=options.side, scales=(options.side,), epochs=6, cycles=3, batch_size=8, lr_max=0.02
        ),
        attack=AttackConfig(),
        query=QueryConfig(shard_size=options.shard, batch_size=8),
        budget=BudgetConfig(total=2),
        resources=ResourceConfig(query_actors=options.actors, object_store_mib=256),
    )


def some_images(options: Options) -> Path:
    """A folder with copies of the first images and masks."""
    folder = options.folder / "images"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    source = (
        options.train / "DUTS-TR-Image"
        if (options.train / "DUTS-TR-Image").is_dir()
        else options.train / "images"
    )
    masks = source.with_name(source.name.replace("Image", "Mask").replace("images", "masks"))
    for image in sorted(source.iterdir())[: options.images]:
        shutil.copyfile(image, folder / "images" / image.name)
        shutil.copyfile(masks / f"{image.stem}.png", folder / "masks" / f"{image.stem}.png")
    return folder


def call(options: Options, images: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        str(ROOT / "jobs/generate.py"),
        str(options.folder / "trained"),
        str(options.folder / "points"),
    ]
    command += ["--images", str(images), "--points", str(options.points)]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    with (options.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def watch(process: subprocess.Popen[bytes], options: Options, until: int) -> Watch:
    """Sample until so many shards are done, or the job has ended."""
    found, began = Watch(), time.monotonic()
    parts = options.folder / "points" / "round-00" / f"{QUERIES}.parts"
    driver = psutil.Process(process.pid)
    while process.poll() is None:
        done = len(list(parts.glob("*.picks.parquet")))
        if done >= until:
            break
        try:
            own = driver.memory_full_info().uss / MIB
            workers = sum(child.memory_full_info().uss for child in driver.children(recursive=True)) / MIB
        except psutil.Error:
            continue
        if done:
            found.seconds.append(round(time.monotonic() - began, 1))
            found.shards.append(done)
            found.driver_mib.append(round(own, 1))
            found.workers_mib.append(round(workers, 1))
        time.sleep(SAMPLE_SECONDS)
    return found


def rates(found: Watch, shard: int, parts: int = 4) -> list[float]:
    """Images a second in each part of the samples."""
    cuts = np.linspace(0, len(found.shards) - 1, parts + 1).astype(int)
    pairs = [(a, b) for a, b in pairwise(cuts) if b > a]
    return [
        round(shard * (found.shards[b] - found.shards[a]) / (found.seconds[b] - found.seconds[a]), 2)
        for a, b in pairs
    ]


def growth(samples: list[float]) -> float:
    """Median of the last quarter over the median of the second one: the first still loads."""
    quarter = max(1, len(samples) // 4)
    return float(np.median(samples[-quarter:]) / np.median(samples[quarter : 2 * quarter]))


def main(options: Options) -> None:
    head = provenance(MEASURES)
    shutil.rmtree(options.folder / "points", ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    trained, config = options.folder / "trained", config_of(options)
    if not (trained / "round-00" / "COMMITTED").exists():
        run_campaign(config, trained)
    images = some_images(options)
    shards = -(-options.images // options.shard)
    first = call(options, images)
    before = watch(first, options, shards // 2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = len(list((options.folder / "points" / "round-00" / f"{QUERIES}.parts").glob("*.picks.parquet")))
    print(f"killed with {kept} of {shards} shards done", flush=True)
    second = call(options, images)
    after = watch(second, options, shards + 1)
    if second.wait() != 0:
        raise RuntimeError(f"the job did not go on: see {options.folder / 'log.txt'}")
    made = CampaignFolder(Folder(str(options.folder / "points")))
    points = made.round(1).read_table(POINTS)
    asked_again: dict[str, Any] = made.round(0).read_json(THROUGHPUT)
    result = {
        "what": __doc__.partition("\n")[0],
        "provenance": head,
        "data": f"{options.images} images of {options.train.name}, f3net-small at {options.side} px, L = 3, "
        f"{options.actors} actor",
        "shard": options.shard,
        "shards": shards,
        "shards_done_at_the_kill": kept,
        "images_of_the_second_call": asked_again["images"],
        "images_left_at_the_kill": options.images - kept * options.shard,
        "points": points.num_rows,
        "points_of_an_image": options.points,
        "images_per_s_by_quarter": {
            "first call": rates(before, options.shard),
            "second call": rates(after, options.shard),
        },
        "growth": {
            call: {
                "driver": round(growth(found.driver_mib), 3),
                "workers": round(growth(found.workers_mib), 3),
            }
            for call, found in (("first call", before), ("second call", after))
        },
        "samples": {"first call": vars(before), "second call": vars(after)},
    }
    RESULT.write_text(json.dumps(result) + "\n")
    print(
        {
            name: result[name]
            for name in (
                "images_per_s_by_quarter",
                "growth",
                "images_of_the_second_call",
                "images_left_at_the_kill",
            )
        }
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
