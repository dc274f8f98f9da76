"""From points to masks and a network: what each choice of `atal finish` brings on real images.

    python benchmarks/finish.py --train /path/to/DUTS-TR --test /path/to/ECSSD --weights resnet50.pth \
        --out runs/finish --held-out held_out.txt

Campaigns of several ways to choose the clicks, without Ray on one CPU thread, start from the same random
points and share the first round. On top of them stand finishes; an arm of several trainings leaves a row for
each of them. `full masks` is the network's own recipe of full supervision on as many epochs. Test images are
of a second data set and of a list of ids that nothing trains on. An interrupted run goes on where it was;
`--figures-only` writes what is finished of it.

Writes benchmarks/results/finish.json: of each row means and ranges over seeds, clicks, images trained on and
device seconds, its share of full masks, the shares of pixels of its targets that are wrong; and the paired
bootstrap over the test images against the row that it is to be compared with: a difference is decided where
the interval leaves out 0 and all seeds agree. Prints a table.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import tyro
from image_scores import FIGURES, draws, resampled, score_images
from machine import provenance
from methods import lay_out, test_sets

from atal_ray.campaign.campaign_folder import METRICS, POINTS, TRAINING, CampaignFolder
from atal_ray.campaign.finish import finish as stage
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config, DataConfig, NetworkConfig, TrainConfig, presets
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import records
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.sharing import share_first_round, share_start

RESULT = Path(__file__).parent / "results" / "finish.json"
MEASURES = ("atal_ray.acquisition", "atal_ray.campaign", "atal_ray.labels", "atal_ray.training")
START, FULL = "start", "full masks"


@dataclass(frozen=True)
class Clicks:
    """A campaign: how its clicks are chosen."""

    method: str
    per_round: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A finish of a campaign: what differs from the defaults, and the row that it is compared with."""

    campaign: str
    beside: str
    options: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


CAMPAIGNS = {
    "random": Clicks("random", 8, 10),
    "foreground": Clicks("foreground", 8, 10),
    "atal": Clicks("atal", 4, 10),
    "atal of 5 clicks": Clicks("atal", 3, 5),
}
FINISHES = {
    "random, finished": Finished("random", "random"),
    "foreground, finished": Finished("foreground", "foreground"),
    "atal, finished": Finished("atal", "atal"),
    "atal of 5 clicks, finished": Finished("atal of 5 clicks", "atal of 5 clicks"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run."""

    train: Path
    """DUTS-TR."""
    test: Path
    """ECSSD."""
    weights: Path
    """ImageNet weights of a ResNet-50 that strides on its 1x1 convolutions."""
    held_out: Path
    """Text file with ids of images of `train` that are a test set, and that nothing trains on."""
    out: Path = Path("runs/finish")
    """Where the campaigns and finishes go."""
    arms: tuple[str, ...] = (FULL, *CAMPAIGNS, *FINISHES)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 300
    test_images: int = 200
    """Of each test set."""
    side: int = 128
    epochs: int = 9
    """Of a round."""
    cycles: int = 3
    finish_epochs: int = 8
    """Of a training on masks."""
    start: int = 2
    processes: int = 2
    figures_only: bool = False
    """Run nothing: write the figures of what is finished."""


def configure(options: Options, arm: str, seed: int) -> Config:
    """The campaign of an arm."""
    base = presets.cpu_small()
    config = replace(
        base,
        seed=seed,
        data=DataConfig(
            train=str(options.train.resolve()),
            subset=str(options.out.resolve() / "train.txt"),
            tests=(),
            limit=options.images,
        ),
        network=NetworkConfig(weights=str(options.weights.resolve()), stride_on="1x1"),
        train=TrainConfig(
            size=options.side,
            scales=(options.side,),
            epochs=options.epochs,
            cycles=options.cycles,
            batch_size=8,
            lr_max=base.train.lr_max,
            threads=1,
        ),
        query=replace(base.query, threads=1, shard_size=32),
        report=replace(base.report, compare=()),
        resources=replace(
            base.resources,
            backend="inline",
            loader_workers=0,
            superpixels=str((options.out / "superpixels").resolve()),
        ),
    )
    if arm == FULL:
        recipe = replace(full_recipe(options), threads=1)
        return replace(config, train=recipe, regions=replace(config.regions, labels="dense"))
    if arm == START:
        return replace(config, budget=BudgetConfig(start=options.start, per_round=1, total=options.start))
    clicks = CAMPAIGNS[arm]
    return replace(
        config,
        query=replace(config.query, method=clicks.method),
        budget=BudgetConfig(start=options.start, per_round=clicks.per_round, total=clicks.total),
    )


def full_recipe(options: Options) -> TrainConfig:
    """F3Net's recipe at this size."""
    recipe = presets.full_recipe("f3net")
    return replace(
        recipe,
        size=options.side,
        scales=(options.side,),
        epochs=options.finish_epochs,
        batch_size=8,
        lr_max=recipe.lr_max * 8 / recipe.batch_size,
    )


def place_of(options: Options, arm: str, seed: int) -> Path:
    """The folder of an arm."""
    return options.out / f"{arm.replace(',', '').replace(' ', '-')}-{seed}"


def run_unit(options: Options, arm: str, seed: int) -> float:
    """Run an arm to its end and score its networks; the seconds that it took in this call."""
    torch.set_num_threads(1)
    place, began = place_of(options, arm, seed), time.monotonic()
    with place.with_suffix(".log").open("a") as log, contextlib.redirect_stderr(log):
        if arm in FINISHES:
            finish_campaign(options, arm, seed)
        else:
            run_clicks(options, arm, seed)
    return time.monotonic() - began


def run_clicks(options: Options, arm: str, seed: int) -> None:
    """The campaign of an arm."""
    place, config = place_of(options, arm, seed), configure(options, arm, seed)
    campaign = CampaignFolder(Folder.at(str(place)))
    if arm in CAMPAIGNS:
        begun = CampaignFolder(Folder.at(str(place_of(options, START, seed))))
        share_start(begun, campaign, config)
        share_first_round(begun, campaign, config)
    run_campaign(config, place)
    last = config.rounds - 1
    if arm != START:
        costs = [campaign.round(number).read_json("cost.json") for number in range(config.rounds)]
        spent = sum(cost.get(kind, {}).get("device_seconds", 0.0) for cost in costs for kind in cost)
        passes = config.rounds * config.train.epochs * options.images
        clicks = None if arm == FULL else CAMPAIGNS[arm].total
        note = {"clicks": clicks, "training_passes": passes, "device_seconds": round(spent, 1)}
        leave(options, arm, seed, campaign, config, last, note)


def finish_campaign(options: Options, arm: str, seed: int) -> None:
    """The finish of an arm; a row for each of its trainings."""
    place, chosen = place_of(options, arm, seed), FINISHES[arm]
    plan = Finish.like(place_of(options, chosen.campaign, seed))
    recipe = replace(full_recipe(options), threads=1, **chosen.training)
    plan = replace(plan, seed=seed, tests=(), train=recipe, **chosen.options)
    with scoring(options, arm, seed):
        stage.finish(plan, place)


@contextlib.contextmanager
def scoring(options: Options, arm: str, seed: int) -> Iterator[None]:
    """Score the network of every training of a finish before its folder goes."""
    deliver = stage.deliver

    def scored(labelled: Any, plan: Finish, final: Folder, passes: list[CampaignFolder]) -> None:
        deliver(labelled, plan, final, passes)
        config = plan.training(final.uri, configure(options, START, seed))
        for number, taught in enumerate(passes, 1):
            name = row_name(arm, number, len(passes))
            began = taught.round(0).read_json("cost.json") if taught.round(0).exists("cost.json") else {}
            note = {
                "training_passes": number * config.train.epochs * options.images,
                "device_seconds": began.get("training", {}).get("device_seconds"),
                "shares": final.read_json(METRICS)["shares"] if number == len(passes) else None,
            }
            leave(options, name, seed, taught, config, 0, note)

    with patch.object(stage, "deliver", scored):
        yield


def row_name(arm: str, number: int, passes: int) -> str:
    """The row of a training of a finish; the last one has the name of the arm."""
    return arm if number == passes else f"{arm}, training {number}"


def leave(
    options: Options,
    row: str,
    seed: int,
    campaign: CampaignFolder,
    config: Config,
    round_number: int,
    note: dict[str, Any],
) -> None:
    """Leave the scores of the test images by the snapshots of a round, and what is noted of a row."""
    networks = read_snapshots(campaign.snapshots(round_number), config, torch.device("cpu"))
    place = place_of(options, row, seed)
    for name, images in test_images(options).items():
        score_images(networks, options.side, images, score_file(options, row, seed, name))
    (options.out / "scores" / f"{place.name}.json").write_text(json.dumps(note))


def score_file(options: Options, row: str, seed: int, name: str) -> Path:
    """The scores of a test set by a row."""
    return options.out / "scores" / f"{place_of(options, row, seed).name}.{name}.npz"


def test_images(options: Options) -> dict[str, Any]:
    """The images of each test set."""
    found = {}
    for path in test_sets(options):
        manifest = build_manifest(path, limit=options.test_images, verify=False)
        found[path.name] = records(manifest.table, str(path))
    return found


def units(options: Options) -> dict[tuple[str, int], tuple[str, int] | None]:
    """Each campaign and finish, with what it waits for."""
    found: dict[tuple[str, int], tuple[str, int] | None] = {}
    for seed in options.seeds:
        found[START, seed] = None
        for arm in options.arms:
            on = FINISHES[arm].campaign if arm in FINISHES else START if arm in CAMPAIGNS else None
            found[arm, seed] = on and (on, seed)
    return found


def run_all(options: Options) -> None:
    """Run everything, some at once, in the order in which it is listed, as soon as what it needs is done."""
    waiting, done = units(options), set[tuple[str, int]]()
    with ProcessPoolExecutor(options.processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        running: dict[Future[float], tuple[str, int]] = {}
        while waiting or running:
            ready = [unit for unit, needed in waiting.items() if needed is None or needed in done]
            for unit in ready[: options.processes - len(running)]:
                running[pool.submit(run_unit, options, *unit)] = unit
                del waiting[unit]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit = running.pop(future)
                done.add(unit)
                print(f"{unit}: {future.result():.0f} s", flush=True)


def main(options: Options) -> None:
    """Run what is asked for, and print a table of the figures."""
    lay_out(options)
    kept = options.out / "provenance.json"  # of the first call: later ones go on with its campaigns
    if not kept.exists():
        kept.write_text(json.dumps(provenance(MEASURES)))
    if not options.figures_only:
        run_all(options)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
