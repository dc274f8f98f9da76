"""Methods of active learning beside each other on real images: which one teaches more with the same clicks?

    python benchmarks/methods.py --train /path/to/DUTS-TR --test /path/to/ECSSD --weights resnet50.pth \
        --out runs/methods

Every arm is a campaign without Ray on one CPU thread, and starts from the same random points; arms that train
alike share round 0. Test images are of a second data set and, with --held-out, of a list of ids that no
campaign trains on. An interrupted run goes on where it was; `--figures-only` writes what is finished of it.
Writes benchmarks/results/methods.json: means and ranges over seeds after each round, and of the last one the
paired bootstrap over the test images against ATAL of the same seeds, and the difference of each seed: one is
decided where the interval leaves out 0 and all seeds agree. Prints a table.
"""

import contextlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from image_scores import compared, draws, resampled, score_images, spread
from machine import described, provenance
from real_images import RealImages, data_of, lay_out, names, network_of, test_sets
from unit_pool import run_units

from atal_ray.campaign.campaign_folder import METRICS, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config, TrainConfig, presets
from atal_ray.config.plugins import for_plugins
from atal_ray.data.record import records
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.sharing import share_first_round, share_start

RESULT = Path(__file__).parent / "results" / "methods.json"
MEASURES = ("atal_ray.acquisition", "atal_ray.campaign", "atal_ray.labels", "atal_ray.training")
FIGURES = ("max_f", "s_measure", "mae")
ARMS: dict[str, dict[str, Any]] = {
    "atal": {},
    "atal without attack": {"score": "entropy"},
    "atal without RDS": {"strategy": "top"},
    "random": {"method": "random"},
    "foreground": {"method": "foreground"},
    "pixelpick": {"method": "pixelpick"},
    "ent": {"method": "ent"},
    "den": {"method": "den"},
    "full masks": {},
}
"""Name -> what differs in the section `query` from ATAL's."""
DENSE, START = "full masks", "start"


@dataclass(frozen=True, kw_only=True)
class Options(RealImages):
    """What is run."""

    out: Path = Path("runs/methods")
    """Where the campaigns go."""
    arms: tuple[str, ...] = tuple(ARMS)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 100
    test_images: int = 150
    side: int = 96
    epochs: int = 9
    cycles: int = 3
    start: int = 2
    per_round: int = 4
    total: int = 10


def configure(options: Options, arm: str, seed: int) -> Config:
    """The campaign of an arm."""
    networks = arm == "den"
    base = presets.cpu_small()
    config = replace(
        base,
        seed=seed,
        data=data_of(options, options.images, options.test_images),
        network=network_of(options),
        train=TrainConfig(
            size=options.side,
            scales=(options.side,),
            epochs=options.epochs * (options.cycles if networks else 1),
            cycles=options.cycles,
            ensemble="networks" if networks else "trajectory",
            batch_size=8,
            lr_max=base.train.lr_max,
            threads=1,
        ),
        query=replace(base.query, threads=1, shard_size=32),
        budget=BudgetConfig(start=options.start, per_round=options.per_round, total=options.total),
        report=replace(base.report, compare=()),
        resources=replace(base.resources, backend="inline", loader_workers=0),
    )
    if arm == DENSE:
        return replace(config, regions=replace(config.regions, labels="dense"))
    if arm == START:
        return replace(config, budget=replace(config.budget, per_round=1, total=options.start))
    chosen = ARMS[arm]
    config = for_plugins(config, {f"query.{field}": name for field, name in chosen.items()})
    return replace(config, query=replace(config.query, **chosen))


def run_unit(options: Options, unit: tuple[str, int]) -> float:
    """Run the campaign of an arm and a seed to its end; the seconds that it took in this call."""
    arm, seed = unit
    folder, began = options.out / f"{arm.replace(' ', '-')}-{seed}", time.monotonic()
    torch.set_num_threads(1)
    with (options.out / f"{folder.name}.log").open("a") as log, contextlib.redirect_stderr(log):
        config = configure(options, arm, seed)
        campaign = CampaignFolder(Folder.at(str(folder)))
        if arm not in (START, DENSE):
            begun = CampaignFolder(Folder.at(str(options.out / f"{START}-{seed}")))
            share_start(begun, campaign, config)
            if config.train == configure(options, START, seed).train:
                share_first_round(begun, campaign, config)
        run_campaign(config, folder)
        if arm != START:
            score_test_sets(campaign, config, options)
    return time.monotonic() - began


def score_test_sets(campaign: CampaignFolder, config: Config, options: Options) -> None:
    """Leave the scores of every test image by the last round's ensemble, for the bootstrap."""
    last = config.rounds - 1
    networks = read_snapshots(campaign.snapshots(last), config, torch.device("cpu"))
    for name, path in zip(names(options), test_sets(options), strict=True):
        images = records((campaign.root / "tests").read_table(f"{name}.parquet"), str(path))
        score_images(networks, config.train.size, images, Path(campaign.round(last).where(f"{name}.npz")))


def finished(options: Options, arm: str) -> list[int]:
    """The seeds of an arm whose campaign has come to its end, and whose images were scored."""
    last, name = configure(options, arm, 0).rounds - 1, names(options)[-1]
    places = {seed: options.out / f"{arm.replace(' ', '-')}-{seed}" for seed in options.seeds}
    return [seed for seed, place in places.items() if (place / f"round-{last:02d}/{name}.npz").exists()]


def figures(options: Options, arm: str, name: str) -> list[dict[str, Any]]:
    """Mean and range over seeds after each round."""
    rounds = configure(options, arm, 0).rounds
    rows = []
    for number in range(rounds):
        runs = []
        for seed in finished(options, arm):
            folder = Folder(str((options.out / f"{arm.replace(' ', '-')}-{seed}").resolve()))
            runs.append((folder / f"round-{number:02d}").read_json(METRICS)[name]["ensemble"])
        clicks = None if arm == DENSE else options.start + number * options.per_round
        row: dict[str, Any] = {"clicks": clicks}
        for figure in FIGURES:
            values = [run[figure] for run in runs]
            row[figure] = spread(values)
        rows.append(row)
    return rows


def last_of(options: Options, arm: str, name: str, seed: int) -> dict[str, float]:
    """The metrics of the last round of a campaign."""
    last = configure(options, arm, 0).rounds - 1
    folder = Folder(str((options.out / f"{arm.replace(' ', '-')}-{seed}").resolve())) / f"round-{last:02d}"
    metrics: dict[str, float] = folder.read_json(METRICS)[name]["ensemble"]
    return metrics


def against_atal(options: Options, name: str) -> dict[str, Any]:
    """For each arm how much it differs from ATAL after the last round: mean and 95 % interval."""

    def files(arm: str, seeds: list[int]) -> list[Path]:
        last = f"round-{configure(options, arm, 0).rounds - 1:02d}"
        places = [options.out / f"{arm.replace(' ', '-')}-{seed}" for seed in seeds]
        return [place / last / f"{name}.npz" for place in places]

    with np.load(files("atal", [options.seeds[0]])[0]) as kept:
        times = draws(len(kept["mae"]), "methods", name)
    found: dict[str, Any] = {}
    for arm in options.arms:
        if arm == "atal":
            continue
        seeds = [seed for seed in finished(options, arm) if seed in finished(options, "atal")]
        base, other = (resampled(files(one, seeds), times) for one in ("atal", arm))
        by_seed = [[last_of(options, one, name, seed) for seed in seeds] for one in (arm, "atal")]
        found[arm] = {}
        for figure in FIGURES:
            each = [one[figure] - two[figure] for one, two in zip(*by_seed, strict=True)]
            found[arm][figure] = compared(other, base, figure, each)
    return found


def passes(options: Options, arm: str) -> int:
    """Images that are trained on in all rounds of a campaign, counted each time."""
    config = configure(options, arm, 0)
    return config.rounds * config.train.epochs * options.images


def units(options: Options) -> dict[tuple[str, int], tuple[str, int] | None]:
    """Each campaign, first what others start from, with the one that it waits for."""
    starts = [(START, seed) for seed in options.seeds]
    arms = [(arm, seed) for seed in options.seeds for arm in options.arms if arm != START]
    return {**dict.fromkeys(starts), **{(arm, seed): (START, seed) for arm, seed in arms}}


def main(options: Options) -> None:
    """Run what is asked for, and print a table of the figures."""
    lay_out(options)
    head = provenance(MEASURES, kept=options.out / "provenance.json")
    if not options.figures_only:
        run_units(units(options), run_unit, options, options.processes)
    result = {
        "provenance": head,
        "data": [path.name for path in (options.train, *test_sets(options))],
        "options": described(options),
        "seeds": {arm: finished(options, arm) for arm in options.arms},
        "training_passes": {arm: passes(options, arm) for arm in options.arms},
        "figures": {
            name: {arm: figures(options, arm, name) for arm in options.arms} for name in names(options)
        },
        "against_atal": {name: against_atal(options, name) for name in names(options)},
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for name in names(options):
        for arm in options.arms:
            print(line(result, name, arm))


def line(result: dict[str, Any], name: str, arm: str) -> str:
    """One arm on one test set, after the last round."""
    last = result["figures"][name][arm][-1]
    cells = [
        f"{figure} {last[figure]['mean']:.4f} ({last[figure]['low']:.4f} to {last[figure]['high']:.4f})"
        for figure in FIGURES
    ]
    beside = result["against_atal"][name].get(arm)
    if beside:
        of = beside["max_f"]
        verdict = "" if of["decided"] else ", not distinguishable"
        cells.append(f"maxF {of['difference']:+.4f} [{of['low']:+.4f}, {of['high']:+.4f}] of ATAL{verdict}")
    return f"{name:8} {arm:20} {'; '.join(cells)}"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
