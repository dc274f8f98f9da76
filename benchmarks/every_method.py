"""Every method of active learning in a small campaign on real images: killed, gone on with, on other actors.

    python benchmarks/every_method.py --train /path/to/DUTS-TR --test /path/to/ECSSD --weights resnet50.pth \
        --out runs/every-method

A campaign of three rounds for each method, without Ray on one CPU thread. It is ended by SIGKILL as soon as
the query of round 1 has left a shard, and run again to its end; then the same query is made by two actors on
Ray, in shards of another size, and must ask for the same points. Methods that train alike share the first
round. Writes benchmarks/results/every_method.json: points, passes of networks and device seconds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from machine import provenance

from atal_ray.acquisition.trained import own_training
from atal_ray.campaign.campaign_folder import POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.commands.plans import parsed
from atal_ray.config import BudgetConfig, Config, DataConfig, NetworkConfig, TrainConfig, presets
from atal_ray.data.record import records
from atal_ray.labels.points import check_points
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.sharing import share_first_round, share_start

RESULT = Path(__file__).parent / "results" / "every_method.json"
MEASURES = ("atal_ray.acquisition", "atal_ray.campaign", "atal_ray.labels", "atal_ray.training")
NETWORKS = ["--train.ensemble", "networks"]
METHODS: dict[str, list[str]] = {
    "atal": [],
    "isal": [],
    "nes": [
        *(*NETWORKS, "--train.cycles", "3", "--train.epochs", "3"),
        *("--query.nes.members", "2", "--query.nes.networks", "f3net"),
    ],
    "ta-vaal": [],
    "llal": [],
    "mcdr": ["--network.dropout", "0.25"],
    "cset": [],
    "den": [*NETWORKS, "--train.epochs", "4"],
    "ent": [],
    "bald": [],
    "pixelpick": [],
    "ripu": [],
    "clasp": [],
    "random": [],
    "superpixels": [],
    "foreground": [],
    "centre": [],
    "grid": [],
    "boundary": [],
    "oracle": [],
}
"""Name -> the options that it needs beside its own."""
START = "start"
ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run."""

    train: Path
    """DUTS-TR."""
    test: Path
    """ECSSD."""
    weights: Path
    """ImageNet weights of a ResNet-50 that strides on its 1x1 convolutions."""
    out: Path = Path("runs/every-method")
    """Where the campaigns go."""
    methods: tuple[str, ...] = tuple(METHODS)
    images: int = 60
    test_images: int = 6
    side: int = 96
    processes: int = 2
    only: str = ""
    """Run this campaign, in this process."""


def configure(options: Options, method: str) -> Config:
    """The campaign of a method."""
    base = presets.cpu_small()
    config = replace(
        base,
        data=DataConfig(
            train=str(options.train.resolve()),
            tests=(str(options.test.resolve()),),
            limit=options.images,
            test_limit=options.test_images,
        ),
        network=NetworkConfig(weights=str(options.weights.resolve()), stride_on="1x1"),
        train=TrainConfig(
            size=options.side, scales=(options.side,), epochs=2, cycles=2, batch_size=8, lr_max=0.02
        ),
        query=replace(base.query, threads=1, shard_size=16),
        budget=BudgetConfig(start=2, per_round=2, total=2 * ROUNDS),
        resources=replace(
            base.resources,
            backend="inline",
            loader_workers=0,
            superpixels=str((options.out / "superpixels").resolve()),
        ),
    )
    if method == START:
        return replace(config, budget=BudgetConfig(start=2, per_round=1, total=2))
    return parsed(config, ["--query.method", method, *METHODS[method]], method)


def campaign_of(options: Options, method: str) -> CampaignFolder:
    """Where a method's campaign lies."""
    return CampaignFolder(Folder.at(str(options.out / method)))


def run_one(options: Options) -> None:
    """Run a campaign to its end, from the shared first round where it trains as that did."""
    torch.set_num_threads(1)
    method = options.only
    config, campaign = configure(options, method), campaign_of(options, method)
    if method != START:
        start = campaign_of(options, START)
        share_start(start, campaign, config)
        known = configure(options, START)
        alike = (config.train, config.network) == (known.train, known.network)
        if alike and not own_training(config):
            share_first_round(start, campaign, config)
    run_campaign(config, campaign.root.uri)


def killed_and_resumed(options: Options, method: str) -> dict[str, Any]:
    """Run a campaign that is killed once; the shards it left at the kill, kept for a later run of this."""
    folder, kept = options.out / method, options.out / f"{method}.kill.json"
    parts = folder / "round-01" / f"{QUERIES}.parts"
    left = 0
    if not kept.exists():
        process = child(options, method)
        while process.poll() is None and not (left := len([*parts.glob("*.picks.parquet")])):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept.write_text(json.dumps({"shards_at_the_kill": left}))
    if child(options, method).wait() != 0:
        raise RuntimeError(f"{method} failed: see {folder}.log")
    return dict(json.loads(kept.read_text()))


def child(options: Options, method: str) -> subprocess.Popen[bytes]:
    """The campaign in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (options.out / f"{method}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *sys.argv, "--only", method], env=environment, stdout=log, stderr=log
        )


def on_two_actors(options: Options, method: str) -> bool:
    """Whether two actors on Ray ask in round 1 what the campaign asked."""
    config, campaign = configure(options, method), campaign_of(options, method)
    config = replace(
        config,
        query=replace(config.query, shard_size=7),
        resources=replace(config.resources, backend="ray", query_actors=2, gpus="none"),
    )
    again = campaign.root / "again"
    again.delete()
    with campaign_session(config):
        query(campaign, config, 1, again)
    return bool(again.read_table(QUERIES).equals(campaign.round(1).read_table(QUERIES)))


def row(options: Options, method: str) -> dict[str, Any]:
    """Points, passes and seconds of a finished campaign."""
    config, campaign = configure(options, method), campaign_of(options, method)
    images = [one for chunk in campaign.chunks() for one in records(chunk, options.train)]
    points = campaign.points(ROUNDS - 1)
    check_points(
        points, {one.image_id: one.height for one in images}, {one.image_id: one.width for one in images}
    )
    costs = [campaign.round(number).read_json("cost.json") for number in range(ROUNDS)]

    def seconds(stage: str) -> float:
        spent = [float(cost.get(stage, {}).get("device_seconds", 0.0)) for cost in costs]
        return round(sum(spent), 1)

    asked = costs[1]["query"]["passes"]
    return {
        "points": points.num_rows,
        "points_of_round": [campaign.round(number).count_rows(POINTS) for number in range(ROUNDS)],
        "training_passes_of_round": costs[1]["training"]["passes"],
        "fit_passes_of_round": costs[1].get("fit", {}).get("passes", 0),
        "query_passes_of_round": asked,
        "device_seconds": {stage: seconds(stage) for stage in ("training", "fit", "query")},
        "images": len(images),
        "snapshots": config.train.cycles,
    }


def main(options: Options) -> None:
    """Run all methods, then ask on Ray."""
    if options.only:
        run_one(options)
        return
    head = provenance(MEASURES)
    options.out.mkdir(parents=True, exist_ok=True)
    if child(options, START).wait() != 0:
        raise RuntimeError(f"the shared first round failed: see {options.out / START}.log")
    with ThreadPoolExecutor(options.processes) as pool:
        made = pool.map(lambda name: killed_and_resumed(options, name), options.methods)
        kills = dict(zip(options.methods, made, strict=True))
    found = {}
    with campaign_session(replace(presets.cpu_small(), train=replace(presets.cpu_small().train, threads=2))):
        for method in options.methods:
            equal = on_two_actors(options, method)
            found[method] = {**row(options, method), **kills[method], "equal_on_two_actors": equal}
            print(line(method, found[method]), flush=True)
    result = {"provenance": head, "images": options.images, "side": options.side, "methods": found}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def line(method: str, found: dict[str, Any]) -> str:
    """One method."""
    passes, spent = found["query_passes_of_round"], [*found["device_seconds"].values()]
    asked = " ".join(f"{name} {count}" for name, count in passes.items() if count) or "none"
    return (
        f"{method:12} {found['points']} points; a round trains {found['training_passes_of_round']}, fits "
        f"{found['fit_passes_of_round']}, asks {asked}; {' + '.join(map(str, spent))} s; "
        f"killed after {found['shards_at_the_kill']} shards; "
        f"{'equal' if found['equal_on_two_actors'] else 'OTHER'} on 2 actors"
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
