"""Disturb a campaign in every way at every stage, and compare its points with those of a run that nobody
disturbed.

    python benchmarks/faults.py --train DUTS-TR --test ECSSD --folder /tmp/faults

Real images, a small network, three real raylets on this machine. Each campaign of the plan below is killed
several times; a node that is killed is replaced, as a spot node is. Workers end themselves by `os._exit(0)`,
a node is paused and goes on when the others have done its work, and the disk is full until the command has
ended with a sentence (a tmpfs: this takes root). What came too late, since its stage was over, is tried once
more in a campaign of its own. `--store s3` puts the campaigns on an S3 server on loopback. Writes
benchmarks/results/faults.json (or faults_s3.json).
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro
from fault_injection import Campaign, Kill, NoChanceError, Survival, inject
from machine import provenance
from three_nodes import Nodes, three_nodes

from atal_ray.campaign.campaign_folder import CampaignFolder
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
    config_file,
)

RESULTS = Path(__file__).parent / "results"
MEASURES = (
    "atal_ray.campaign.evaluate",
    "atal_ray.campaign.query",
    "atal_ray.campaign.rounds",
    "atal_ray.campaign.run",
    "atal_ray.campaign.train",
    "atal_ray.runtime",
)
ROUNDS = (0, 1)  # of three: those that query
PLAN: dict[str, list[Kill]] = {
    "driver": [
        Kill("driver", "random start"),
        *(
            Kill("driver", stage, number)
            for number in ROUNDS
            for stage in ("training", "evaluation", "query", "commit")
        ),
        *(Kill("driver, SIGTERM", stage, 2) for stage in ("training", "evaluation")),
    ],
    "workers": [
        Kill("data actor", "random start"),
        Kill("train worker", "training"),
        Kill("data actor", "evaluation"),
        Kill("driver, SIGTERM", "query"),
        Kill("train worker", "training", 1),
        Kill("data actor", "evaluation", 1),
        Kill("data actor", "query", 1),
        Kill("train worker", "training", 2),
        Kill("data actor", "evaluation", 2),
    ],
    "node": [
        Kill("node", "random start"),
        *(Kill("node", stage, number) for number in ROUNDS for stage in ("training", "evaluation", "query")),
        *(Kill("node", stage, 2) for stage in ("training", "evaluation")),
    ],
    "exit": [
        Kill("loading task, os._exit", "random start"),
        Kill("train worker, os._exit", "training"),
        Kill("data actor, os._exit", "evaluation"),
        Kill("loading task, os._exit", "query"),
        Kill("train worker, os._exit", "training", 1),
        Kill("data actor, os._exit", "query", 1),
        Kill("data actor, os._exit", "evaluation", 2),
    ],
    "paused": [
        Kill("node, SIGSTOP", "training"),
        Kill("node, SIGSTOP", "evaluation"),
        Kill("node, SIGSTOP", "query"),
        Kill("node, SIGSTOP", "training", 1),
        Kill("node, SIGSTOP", "query", 1),
    ],
    "disk": [
        Kill("disk, full", "random start"),
        Kill("disk, full", "training"),
        Kill("disk, full", "evaluation"),
        Kill("disk, full", "query"),
        Kill("disk, full", "training", 1),
        Kill("disk, full", "evaluation", 1),
        Kill("disk, full", "commit", 2),
    ],
}
DISK_MIB = 64


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is killed."""

    train: Path
    """Folder of real images with masks."""
    test: Path
    """A test set."""
    folder: Path
    """Where the campaigns go."""
    only: tuple[str, ...] = tuple(PLAN)
    """Campaigns of the plan."""
    store: Literal["local", "s3"] = "local"
    images: int = 24
    side: int = 96


def config_of(options: Options) -> Config:
    """Three rounds of 2 + 2 + 2 points, two workers and two actors, wherever the labels allow."""
    return Config(
        data=DataConfig(
            train=str(options.train),
            tests=(str(options.test),),
            limit=options.images,
            test_limit=2 * options.images,
        ),
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(
            size=options.side,
            scales=(options.side,),
            epochs=4,
            cycles=2,
            batch_size=8,
            lr_max=0.02,
            workers=2,
        ),
        attack=AttackConfig(steps=20),
        query=QueryConfig(shard_size=4, batch_size=4),
        budget=BudgetConfig(total=6),
        resources=ResourceConfig(
            query_actors=2,
            scoring_nodes={"role": "accelerator"},
            loading_nodes={"role": "cpu"},
            wait_minutes=2,
        ),
    )


def points_of(files: CampaignFolder, rounds: int) -> list[dict[str, Any]]:
    """Every point, in the order of the files."""
    return [
        row
        for number in range(rounds)
        for row in files.round(number).read_table("points.parquet").to_pylist()
    ]


def run_killed(
    name: str, kills: list[Kill], nodes: Nodes, options: Options, config: Path, calm: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Kill]]:
    """One campaign with its kills; a row for each, and those that came too late."""
    with place(options, name, full=any(kill.victim == "disk, full" for kill in kills)) as folder:
        dues = [kill.due for kill in kills if kill.due is not None]
        campaign = Campaign(
            config, folder, nodes.cluster.address, options.folder / f"{name.replace(' ', '-')}.log", dues
        )
        survived: list[Survival] = []
        late: list[Kill] = []
        for kill in kills:
            began = time.monotonic()
            try:
                survived.append(inject(campaign, nodes, kill))
                print(f"{name}: {kill} survived after {time.monotonic() - began:.0f} s", flush=True)
            except NoChanceError as missed:
                print(f"{name}: {missed}", flush=True)
                late.append(kill)
        campaign.finish()
        points = points_of(campaign.files, config_of(options).rounds)
        campaign.stop()
    counts = Counter((row["image_id"], row["x"], row["y"]) for row in points)
    whole = {
        "equal": points == calm,
        "lost": max(0, len(calm) - len(points)),
        "doubled": sum(count - 1 for count in counts.values()),
    }
    rows = [
        {
            "campaign": name,
            "victim": one.kill.victim,
            "stage": one.kill.stage,
            "round": one.kill.round_number,
            "started_again": one.started_again,
            "exit_seconds": one.exit_seconds and round(one.exit_seconds, 1),
            "sentence": one.sentence and one.sentence.replace(str(options.folder), ""),
            **whole,
        }
        for one in survived
    ]
    return rows, late


@contextmanager
def place(options: Options, name: str, *, full: bool) -> Iterator[str]:
    """A new folder for a campaign; on a small disk of its own, where that is to be filled."""
    if options.store == "local":
        folder = options.folder / name.replace(", ", "-").replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        if not full:
            yield str(folder)
            return
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", folder], check=True)
        try:
            yield str(folder / "run")
        finally:
            subprocess.run(["umount", folder], check=True)
    else:
        sys.path.append(str(Path(__file__).parents[1] / "tests"))
        from stores import start_server

        store, server = start_server()
        try:
            yield store.folder().uri
        finally:
            server.kill()
            server.wait()


def main(options: Options) -> None:
    head = provenance(MEASURES)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    config, saved = config_of(options), options.folder / "config.yaml"
    saved.write_text(config_file.to_yaml(config))
    shutil.rmtree(options.folder / "calm", ignore_errors=True)
    anywhere = replace(config.resources, scoring_nodes={}, loading_nodes={})
    calm = points_of(
        run_campaign(replace(config, resources=anywhere), options.folder / "calm"), config.rounds
    )
    rows: list[dict[str, Any]] = []
    with three_nodes() as nodes:
        undisturbed = Campaign(
            saved,
            str(options.folder / "three-nodes"),
            nodes.cluster.address,
            options.folder / "three-nodes.log",
        )
        shutil.rmtree(undisturbed.folder, ignore_errors=True)
        undisturbed.finish()
        same = points_of(undisturbed.files, config.rounds) == calm
        print(f"three nodes, undisturbed: {'equal' if same else 'OTHER'} points", flush=True)
        late: list[Kill] = []
        for name in options.only:
            kept = options.folder / f"{name}.json"
            ended = json.loads(kept.read_text()) if kept.exists() else {}
            if ended.get("code") != head["code"]:
                found, missed = run_killed(name, PLAN[name], nodes, options, saved, calm)
                ended = {"code": head["code"], "rows": found, "late": [asdict(kill) for kill in missed]}
                kept.write_text(json.dumps(ended))
            rows += ended["rows"]
            late += [Kill(**kill) for kill in ended["late"]]
        if late:
            late.sort(
                key=lambda kill: (
                    kill.round_number,
                    ("random start", "training", "evaluation", "query", "commit").index(kill.stage),
                )
            )
            found, late = run_killed("too late at first", late, nodes, options, saved, calm)
            rows += found
    result = {
        "what": __doc__.partition("\n")[0],
        "provenance": head,
        "data": f"{options.images} images of {options.train.name}, {2 * options.images} of "
        f"{options.test.name}, {options.side} px",
        "store": options.store,
        "points": len(calm),
        "three_nodes_equal_one": same,
        "kills": len(rows),
        "came_too_late": len(late),
        "survived_with_equal_points": sum(row["equal"] for row in rows),
        "rows": rows,
    }
    name = "faults.json" if options.store == "local" else "faults_s3.json"
    (RESULTS / name).write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(rows)} kills, {result['survived_with_equal_points']} with equal points: {RESULTS / name}")


if __name__ == "__main__":
    main(tyro.cli(Options))
