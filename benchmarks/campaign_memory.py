"""Does a campaign's memory grow with the number of images? The driver's peak in every stage, for 1,000 to
1,000,000 images.

    python benchmarks/campaign_memory.py --train DUTS-TR --folder /tmp/campaign-memory

The images are hard links to a hundred real ones of 64 px, with their masks. Every stage keeps its books in
full; the networks' work is skipped: a query asks for random points, a network of two layers evaluates a test
set of at most `most_tested` images, and a round trains on nothing, but opens its index of images and points
and reads `samples` of them in this process (in a campaign a worker does). Each size is a process of its own.
Memory: what the driver holds for itself alone (anonymous pages), sampled; peak of each stage. Writes
benchmarks/results/campaign_memory.json.
"""

import io
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import cv2
import numpy as np
import torch
import tyro
from machine import provenance
from torch import Tensor, nn

from atal_ray.networks import SaliencyNetwork, SaliencyOutput

RESULT = Path(__file__).parent / "results" / "campaign_memory.json"
MEASURES = (
    "atal_ray.annotation.oracle",
    "atal_ray.campaign",
    "atal_ray.data.manifest",
    "atal_ray.data.record",
    "atal_ray.labels.points",
    "atal_ray.report",
    "atal_ray.runtime.shards",
    "atal_ray.store",
)
MIB = 2**20
KINDS, SIDE = 100, 64
SAMPLE_SECONDS = 0.1


class Stub(SaliencyNetwork):
    """Two convolutions."""

    loss_weights = (1.0,)
    prediction = 0
    feature_channels = 2
    mean = std = (0.5, 0.5, 0.5)
    multiple = 1

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 1, 1)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """A saliency map."""
        features = self.body(x)
        return SaliencyOutput((self.head(features),), features)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """Folder of real images with masks."""
    folder: Path
    """Where images and campaigns go."""
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    backend: Literal["ray", "inline"] = "ray"
    points: int = 2
    """Points an image in each of two rounds."""
    shard_size: int = 512
    """Images in a shard of the query and the evaluation."""
    most_tested: int = 10_000
    """Most images of the test set."""
    samples: int = 500
    """Images that are read through the index of the training."""


def make_images(train: Path, folder: Path, count: int) -> Path:
    """A dataset of so many names for a hundred small images."""
    from atal_ray.data.manifest import build_manifest
    from atal_ray.data.record import records

    place = folder / f"data-{count}"
    if (place / "whole").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    for kind in ("source", "set/images", "set/masks"):
        (place / kind).mkdir(parents=True)
    for index, record in enumerate(records(build_manifest(train, limit=KINDS).table, train)):
        for name, pixels in ((f"{index}.jpg", record.read_image()[..., ::-1]), (f"{index}.png", None)):
            values = record.read_mask() * 255 if pixels is None else pixels
            cv2.imwrite(str(place / "source" / name), cv2.resize(values, (SIDE, SIDE)))
    for number in range(count):
        source = number % KINDS
        (place / f"set/images/{number:07d}.jpg").hardlink_to(place / f"source/{source}.jpg")
        (place / f"set/masks/{number:07d}.png").hardlink_to(place / f"source/{source}.png")
    (place / "whole").touch()
    return place


def configured(place: Path, options: Options) -> Any:
    """The configuration of a campaign of two rounds."""
    from atal_ray.config import (
        BudgetConfig,
        Config,
        DataConfig,
        NetworkConfig,
        QueryConfig,
        RegionConfig,
        ResourceConfig,
        TrainConfig,
    )

    return Config(
        data=DataConfig(
            train=str(place / "set"), tests=(str(place / "set"),), test_limit=options.most_tested
        ),
        network=NetworkConfig(name="campaign_memory:Stub", weights="random"),
        train=TrainConfig(size=SIDE, scales=(SIDE,), cycles=1, epochs=1),
        query=QueryConfig(strategy="random", shard_size=options.shard_size),
        regions=RegionConfig(labels="none"),
        budget=BudgetConfig(start=options.points, per_round=options.points, total=2 * options.points),
        # what a training decodes it keeps in its worker, up to cache-mib; here that would be this process
        resources=ResourceConfig(backend=options.backend, gpus="none", object_store_mib=512, cache_mib=0),
    )


def stages(campaign: Any, config: Any, options: Options) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every stage of a campaign by its name, in order."""
    from atal_ray.campaign.annotate import annotate
    from atal_ray.campaign.campaign_folder import START
    from atal_ray.campaign.evaluate import evaluate
    from atal_ray.campaign.gallery import make_gallery
    from atal_ray.campaign.prepare import prepare
    from atal_ray.campaign.query.ask import query
    from atal_ray.report.page import write_report

    yield "prepare", lambda: prepare(campaign, config)
    yield "random start", lambda: query(campaign, config, START)
    for number in range(2):
        yield f"oracle {number}", partial(annotate, campaign, config, number)
        yield f"index {number}", partial(train, campaign, config, number, options.samples)
        yield f"evaluation {number}", partial(evaluate, campaign, config, number)
        if number == 0:
            yield "query 0", lambda: query(campaign, config, 0)
        yield f"commit {number}", partial(campaign.commit, number)
    yield "maps", lambda: make_gallery(campaign, config, 1)
    yield "report", lambda: write_report(campaign, config)


def train(campaign: Any, config: Any, number: int, count: int) -> None:
    """Read images by the training's index, and leave untrained snapshots."""
    from atal_ray import networks
    from atal_ray.campaign.campaign_folder import TRAINING
    from atal_ray.campaign.train import read_samples
    from atal_ray.training.samples import Draw

    with TemporaryDirectory(dir=campaign.root.uri) as scratch:
        samples = read_samples(campaign, config, number, Path(scratch))
        for index in np.random.default_rng(0).integers(0, len(samples), count):
            _ = samples[Draw(int(index), 0, SIDE)]
    buffer = io.BytesIO()
    torch.save(networks.build(config.network, load_weights=False).state_dict(), buffer)
    campaign.snapshots(number).write_bytes("1.pt", buffer.getvalue())
    entry = {"epoch": 0, "loss": 0.0, "lr_first": 0.0, "lr_last": 0.0}
    campaign.round(number).write_json(TRAINING, {"epochs": [entry]})


def measure(images: int, options: Options) -> list[dict[str, Any]]:
    """Run every stage and watch the memory."""
    from atal_ray.campaign.campaign_folder import CampaignFolder
    from atal_ray.campaign.life import give_back_memory
    from atal_ray.runtime.session import campaign_session
    from atal_ray.store.folder import Folder

    torch.set_num_threads(1)
    place = make_images(options.train, options.folder, images)
    config, run = configured(place, options), options.folder / f"run-{images}"
    shutil.rmtree(run, ignore_errors=True)
    campaign, found = CampaignFolder(Folder(str(run))), []
    with campaign_session(config):
        for name, work in stages(campaign, config, options):
            started = time.monotonic()
            with watched() as peak:
                work()
            seconds = time.monotonic() - started
            give_back_memory()  # as after every step of a run
            found.append({"stage": name, "seconds": round(seconds, 2), "driver_mib": round(peak(), 1)})
            print(f"{images:10,} {name:14} {seconds:8.1f} s {peak():8.1f} MiB", flush=True)
    shutil.rmtree(run)
    return found


@contextmanager
def watched() -> Iterator[Callable[[], float]]:
    """The largest memory of this process, in MiB, while the block runs."""
    most, over = [own()], threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_SECONDS):
            most.append(max(most.pop(), own()))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield lambda: most[0] / MIB
    finally:
        over.set()
        watcher.join()
        most[0] = max(most[0], own())


def own() -> int:
    """Bytes that this process has for itself alone, not counting what it has mapped of files."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    found = re.search(r"^Anonymous: *(\d+) kB$", rollup, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def in_a_process(images: int, options: Options) -> list[dict[str, Any]]:
    """What `measure` returns; its memory goes with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, images, options).result()


def main(options: Options) -> None:
    """Measure every size and write the figures."""
    head = provenance(MEASURES)
    rows: list[dict[str, Any]] = [
        {"images": size, "stages": in_a_process(size, options)} for size in options.sizes
    ]
    peaks = [max(stage["driver_mib"] for stage in row["stages"]) for row in rows]
    growth = {row["images"]: round(peak / peaks[0] - 1, 4) for row, peak in zip(rows, peaks, strict=True)}
    settings = {**asdict(replace(options, folder=Path())), "train": options.train.name, "folder": None}
    result = {"provenance": head, "options": settings, "growth_of_peak": growth, "runs": rows}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(f"growth of the peak over {rows[0]['images']:,} images: {growth}")


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(  # the actors find the network in this file
        [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    )
    main(tyro.cli(Options, description=__doc__))
