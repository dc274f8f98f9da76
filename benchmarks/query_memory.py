"""Does a query's memory grow with the number of images? Peaks of driver, object store and workers for 1,000
to 100,000 images.

    python benchmarks/query_memory.py --train DUTS-TR --folder /tmp/query-memory

The manifest repeats a hundred real files under as many names as it takes. One point an image is asked,
without superpixels and at random: a network would take its own memory in the actor, and hours, and what
travels would be the same. Each run is a process of its own, and so is what writes its campaign. Driver and
workers: the memory that they have written and share with nobody (private dirty pages; of the libraries' clean
pages a driver counts as owner whenever no worker lives); object store: the bytes that Ray counts as taken;
all sampled. Short runs are repeated, as chance decides whether they meet the fullest moment. Writes
benchmarks/results/query_memory.json.
"""

import dataclasses
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import tyro
from machine import provenance

RESULT = Path(__file__).parent / "results" / "query_memory.json"
MEASURES = (
    "atal_ray.campaign.query",
    "atal_ray.data.manifest",
    "atal_ray.data.record",
    "atal_ray.runtime.shards",
)
MIB = 2**20
KINDS = 100
SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """Folder of real images with masks."""
    folder: Path
    """Where the campaigns go."""
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    runs: tuple[int, ...] = (2, 1, 1)
    """How often for each size; the peak is that of all its runs."""
    side: int = 64
    """Pixels of the query grid."""
    actors: int = 1
    object_store_mib: int = 512


def measure(images: int, options: Options) -> dict[str, Any]:
    """Ask once, and watch the memory."""
    import ray

    from atal_ray.campaign.campaign_folder import QUERIES
    from atal_ray.campaign.query.ask import query
    from atal_ray.runtime.session import campaign_session

    campaign, config = opened(images, options)
    with campaign_session(config):
        total = ray.cluster_resources()["object_store_memory"]
        peaks, over = {"driver_mib": 0.0, "object_store_mib": 0.0, "workers_mib": 0.0}, threading.Event()
        watcher = threading.Thread(target=watch, args=(peaks, total, over))
        watcher.start()
        started = time.monotonic()
        query(campaign, config, 0)
        seconds = time.monotonic() - started
        over.set()
        watcher.join()
    assert campaign.round(0).count_rows(QUERIES) == images
    shutil.rmtree(options.folder / f"images-{images}")
    return {"seconds": seconds, **peaks}


def opened(images: int, options: Options) -> tuple[Any, Any]:
    """The folder of a campaign, and its configuration."""
    from atal_ray.campaign.campaign_folder import CampaignFolder
    from atal_ray.config import (
        BudgetConfig,
        Config,
        NetworkConfig,
        QueryConfig,
        RegionConfig,
        ResourceConfig,
        TrainConfig,
    )
    from atal_ray.store.folder import Folder

    config = Config(
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(size=options.side, scales=(options.side,), cycles=1, epochs=1),
        query=QueryConfig(strategy="random"),
        regions=RegionConfig(labels="none"),
        budget=BudgetConfig(start=1, per_round=1, total=2),
        resources=ResourceConfig(
            query_actors=options.actors, gpus="none", object_store_mib=options.object_store_mib
        ),
    )
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, train=str(options.train)))
    return CampaignFolder(Folder(str(options.folder / f"images-{images}"))), config


def make_campaign(images: int, options: Options) -> None:
    """Write a campaign as the training of round 0 leaves it."""
    from atal_ray.campaign.campaign_folder import MANIFEST, POINTS
    from atal_ray.data.manifest import build_manifest

    shutil.rmtree(options.folder / f"images-{images}", ignore_errors=True)
    campaign, _ = opened(images, options)
    kinds = build_manifest(options.train, limit=KINDS).table
    manifest = kinds.take(np.arange(images) % kinds.num_rows)
    manifest = manifest.set_column(
        0, manifest.schema.field(0), pa.array([f"{number:07d}" for number in range(images)])
    )
    campaign.root.write_table(MANIFEST, manifest)
    campaign.round(0).write_table(POINTS, first_points(manifest))


def first_points(manifest: pa.Table) -> pa.Table:
    """A labelled point in the corner of every image."""
    from atal_ray.labels.points import POINT_SCHEMA

    constant = {
        "x": 0,
        "y": 0,
        "label": 0,
        "round": 0,
        "order": 0,
        "score": 0.0,
        "superpixel": -1,
        "region": "random",
        "source": "seed",
    }
    columns = [
        manifest["image_id"]
        if field.name == "image_id"
        else pa.repeat(pa.scalar(constant[field.name], field.type), manifest.num_rows)
        for field in POINT_SCHEMA
    ]
    return pa.table(columns, schema=POINT_SCHEMA)


def watch(peaks: dict[str, float], total: float, over: threading.Event) -> None:
    """Keep the largest value of each figure until the query is over."""
    import ray

    driver = psutil.Process()
    while not over.wait(SAMPLE_SECONDS):
        taken = total - ray.available_resources().get("object_store_memory", 0.0)
        workers = sum(own(child) for child in driver.children(recursive=True) if "ray::" in title(child))
        for name, found in (
            ("driver_mib", own(driver)),
            ("object_store_mib", taken),
            ("workers_mib", workers),
        ):
            peaks[name] = max(peaks[name], found / MIB)


def own(process: psutil.Process) -> int:
    """Bytes that this process alone has, and has written; 0 where it has just ended."""
    try:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Private_Dirty: *(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def title(process: psutil.Process) -> str:
    """The command line, which Ray sets; empty where the process has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def in_a_process(work: Callable[[int, Options], Any], images: int, options: Options) -> Any:
    """What the work returns; its memory goes with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, images, options).result()


def main(options: Options) -> None:
    """Measure every size and write the figures."""
    head = provenance(MEASURES)
    rows = []
    print(f"{'images':>8} {'seconds':>8} {'driver MiB':>11} {'store MiB':>10} {'workers MiB':>12}")
    for images, runs in zip(options.sizes, options.runs, strict=True):
        results = []
        for _ in range(runs):
            in_a_process(make_campaign, images, options)
            results.append(in_a_process(measure, images, options))
        found = {"images": images, **{name: max(result[name] for result in results) for name in results[0]}}
        columns = (
            f"{found['driver_mib']:11.1f} {found['object_store_mib']:10.1f} {found['workers_mib']:12.1f}"
        )
        print(f"{images:8,} {found['seconds']:8.1f} {columns}", flush=True)
        rows.append(found)
    settings = {**asdict(options), "train": options.train.name, "folder": None}
    RESULT.write_text(json.dumps({"provenance": head, "options": settings, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
