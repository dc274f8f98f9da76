"""Stages as the actors of a campaign run them, in this process: query, evaluation, cover of all images."""

import io
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from atal_ray.acquisition.cover.device_kcenter import cover_kcenter_on_device
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy
from atal_ray.campaign.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.campaign.evaluate import EvaluateShard
from atal_ray.campaign.query.load import load_shard
from atal_ray.campaign.query.score import PickShard
from atal_ray.config import Config
from atal_ray.config.query import Precision
from atal_ray.runtime.shards import Row, shard_rows
from atal_ray.runtime.throughput import SECONDS
from gpu_parts.made import made
from gpu_parts.query import MEMBERS, VARIANTS, snapshots, started
from gpu_parts.setup import Note, Setup, median_seconds, wait

CASES: tuple[tuple[Precision, int], ...] = (("float32", 16), ("bfloat16", 16), ("bfloat16", 64))
"""Precision, and images of a batch."""


def query(setup: Setup, note: Note) -> None:
    """Images a second of an actor over loaded shards, beside the estimate alone."""
    campaign, config = trained(setup)
    images = min(512, campaign.root.count_rows(MANIFEST))
    began = time.perf_counter()
    loaded = [load_shard(row, campaign, config, 0) for row in shard_rows(images, 2 if setup.small else 64)]
    note("loading, one core", {"images_per_s": images / (time.perf_counter() - began)})
    for precision, batch in CASES[: 1 if setup.small else None]:
        section = replace(config.query, precision=precision, batch_size=2 if setup.small else batch)
        rates = queried(setup, campaign, replace(config, query=section), loaded)
        note(f"query, {precision}, batch {batch}", rates)


def queried(setup: Setup, campaign: CampaignFolder, config: Config, loaded: list[Row]) -> dict[str, Any]:
    """The rate of the shards behind the first ones, in which shapes are recorded."""
    actor = PickShard(campaign, config, 0, campaign.root / "benchmark.parts")
    parts: dict[str, float] = {}
    began, images = 0.0, 0
    for number, row in enumerate(loaded):
        if number == min(2, len(loaded) - 1):
            wait(setup.device)
            began = time.perf_counter()
        found = actor(row)
        if began:
            images += found["images"]
            for name, seconds in found[SECONDS].items():
                parts[f"{name}_s"] = parts.get(f"{name}_s", 0.0) + seconds
    rate = images / (time.perf_counter() - began)
    (campaign.root / "benchmark.parts").delete()
    case = replace(VARIANTS["as a CUDA graph, bfloat16, batch 16"], precision=config.query.precision)
    run, batch = started(setup, snapshots(setup), replace(case, batch=config.query.batch_size))
    for _ in range(4):
        run(batch)
    bare = len(batch) / median_seconds(lambda: run(batch), setup.device, calls=1, repeats=3)
    return {"images_per_s": rate, "share_of_bare_estimate": rate / bare, "images": images, **parts}


def evaluation(setup: Setup, note: Note) -> None:
    """Images a second of an actor that reads, predicts and scores."""
    campaign, config = trained(setup)
    name = setup.data.name
    (campaign.root / "tests").write_table(f"{name}.parquet", campaign.root.read_table(MANIFEST))
    config = replace(config, data=replace(config.data, tests=(str(setup.data.resolve()),)))
    images = min(setup.images, 4 if setup.small else 256)
    actor, rows = EvaluateShard(campaign, config, 0, name), shard_rows(images, images // 2)
    actor(rows[0])
    began = time.perf_counter()
    actor(rows[1])
    note("evaluation", {"images_per_s": (images - images // 2) / (time.perf_counter() - began)})


def k_center(setup: Setup, note: Note) -> None:
    """Picks a second of the cover of all images, on the device and on the CPU, and whether they are equal."""
    count, picks = (2_000, 50) if setup.small else (311_000, 5_000)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    device, threads = setup.device.type, torch.get_num_threads()
    covers = {
        f"flat passes, {device}": partial(cover_kcenter_on_device, device=device),
        f"few passes, cpu, {threads} threads": partial(cover_kcenter_lazy, threads=threads),
    }
    found = []
    for name, cover in covers.items():
        began = time.perf_counter()
        found.append(cover(vectors, picks).tolist())
        seconds = time.perf_counter() - began
        note(name, {"picks_per_s": picks / seconds, "s": seconds, "candidates": count})
    note("the same picks", {"equal": found[0] == found[1]})


def trained(setup: Setup) -> tuple[CampaignFolder, Config]:
    """The campaign with snapshots of the first round, whose weights nobody trained."""
    members = 2 if setup.small else MEMBERS
    campaign, config = made(setup, cycles=members, epochs=members)
    folder = campaign.snapshots(0)
    for number, network in enumerate(snapshots(setup), start=1):
        data = io.BytesIO()
        torch.save(network.state_dict(), data)
        folder.write_bytes(f"{number}.pt", data.getvalue())
    return campaign, config
