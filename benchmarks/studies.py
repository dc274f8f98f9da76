"""Figures and tables of the paper on real images: which of its claims hold at a size that two cores allow?

    python benchmarks/studies.py --train /path/to/DUTS-TR --test /path/to/ECSSD --weights resnet50.pth \
        --out runs/studies --held-out held_out.txt

The same as `atal study NAME FOLDER --scale small`, but some campaigns run at once, each without Ray on one
CPU thread, and networks train and are asked in bfloat16 with `--half`. Test images are of a second data set
and of a list of ids that nothing trains on. Whole seeds are finished one after another. An interrupted run
goes on where it was; `--figures-only` writes what is there.

Leaves study.html in the folder, and writes benchmarks/results/studies.json, of each study its rows, curves
and claims, and docs/fig7.svg, the curves of fig7. Prints what becomes of each claim.
"""

import contextlib
import json
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from machine import provenance
from matplotlib.figure import Figure
from real_images import RealImages, data_of, lay_out, network_of
from unit_pool import half, run_units

from atal_ray.config import Config
from atal_ray.report.figure import PALETTE, files, legend_below
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.given import GivenJob, given_jobs
from atal_ray.studies.paper.scales import base_of
from atal_ray.studies.paper.study import Studies, report_studies
from atal_ray.studies.paper.study_tables import sentences_of
from atal_ray.studies.paper.units import Unit, jobs_of, units_of
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import LOGS
from atal_ray.studies.sweep.trial_jobs import TrialJob, run_jobs

RESULT = Path(__file__).parent / "results" / "studies.json"
FIGURE = Path(__file__).parents[1] / "docs" / "fig7.svg"
MEASURES = (
    "atal_ray.acquisition",
    "atal_ray.campaign",
    "atal_ray.labels",
    "atal_ray.training",
    "atal_ray.studies",
)
SIZES = ("images", "test_images", "side", "epochs", "cycles", "warm_start", "half")


@dataclass(frozen=True, kw_only=True)
class Options(RealImages):
    """What is run."""

    out: Path = Path("runs/studies")
    """Where the studies go."""
    studies: tuple[str, ...] = ("fig7", "table4")
    seeds: int = 3
    images: int = 150
    test_images: int = 100
    """Of each test set."""
    side: int = 96
    epochs: int = 6
    """Of a round."""
    cycles: int = 3
    warm_start: bool = True
    """A round goes on from the last snapshot of the one before: short trainings add up."""
    half: bool = True
    """Train and query in bfloat16."""


def base_campaign(options: Options) -> Config:
    """ATAL at this size."""
    base = base_of("small")
    return replace(
        base,
        data=data_of(options, options.images, options.test_images),
        network=network_of(options),
        train=replace(
            base.train,
            size=options.side,
            scales=(options.side,),
            epochs=options.epochs,
            cycles=options.cycles,
            warm_start=options.warm_start,
        ),
        query=replace(base.query, precision="bfloat16" if options.half else "float32"),
        resources=replace(base.resources, loader_workers=0),
    )


def plan_of(options: Options, seeds: int) -> Studies:
    """The studies with so many seeds."""
    first = Studies.of(options.studies[0], "small")
    return replace(first, studies=options.studies, seeds=seeds, campaign=base_campaign(options))


def units_of_seed(options: Options, seed: int) -> dict[str, Unit]:
    """The campaigns of all studies for a seed."""
    arms = [arm for found in plan_of(options, 1).arms().values() for arm in found]
    return units_of(arms, [seed])


def jobs_by_name(options: Options) -> dict[str, TrialJob]:
    """Everything that is trained, the seeds one after another."""
    root, found = Folder(str(options.out.resolve())), dict[str, TrialJob]()
    for seed in range(options.seeds):
        units = units_of_seed(options, seed)
        found.update({job.name: job for job in [*jobs_of(root, units), *given_jobs(root, units)]})
    return found


def run_job(options: Options, name: str) -> float:
    """Run a campaign to its end; the seconds that it took in this call."""
    torch.set_num_threads(1)
    job, began = jobs_by_name(options)[name], time.monotonic()
    root = Folder(str(options.out.resolve()))
    with (options.out / f"{name}.log").open("a") as log, contextlib.redirect_stderr(log), half(options.half):
        failures = run_jobs([job], Sweep(campaign=job.config), root / LOGS, 1, name)
    for sentence in failures.values():
        print(f"{name}: {sentence}", flush=True)
    return time.monotonic() - began


def run_campaigns(options: Options) -> None:
    """Run everything, a shared first round and points that others are given before those that need them."""
    jobs = jobs_by_name(options)
    names = {job.campaign: job.name for job in jobs.values()}
    needed = {name: job.chooser if isinstance(job, GivenJob) else job.source for name, job in jobs.items()}
    waits = {name: names.get(campaign) if campaign else None for name, campaign in needed.items()}
    run_units(waits, run_job, options, options.processes)


def draw(found: dict[str, Any], figure: Figure) -> None:
    """MaxF over clicks on each test set: the mean over seeds of each arm, and full masks as a line."""
    for place, name in enumerate(found["sets"], 1):
        axes = figure.add_subplot(1, len(found["sets"]), place)
        axes.set_title(f"maxF on {name}")
        axes.set_xlabel("clicks an image")
        for number, (arm, rounds) in enumerate(found["curves"].items()):
            clicks = [row["clicks"] for row in rounds]
            values = [row["figures"][name]["max_f"]["mean"] for row in rounds]
            if clicks == [None]:
                axes.axhline(values[0], color="black", linestyle=":", label=arm)
                continue
            style = "-" if number < len(PALETTE) else "--"
            colour = PALETTE[number % len(PALETTE)]
            axes.plot(clicks, values, style, marker="o", color=colour, label=arm)
        axes.set_xticks(clicks_of(found))
    legend_below(figure, axes, 6)


def clicks_of(found: dict[str, Any]) -> list[int]:
    """The clicks at which arms were read."""
    rows = [row for rounds in found["curves"].values() for row in rounds]
    return sorted({row["clicks"] for row in rows if row["clicks"] is not None})


def main(options: Options) -> None:
    """Run what is asked for, and print what becomes of the claims."""
    lay_out(options)
    head = provenance(MEASURES, kept=options.out / "provenance.json")
    if not options.figures_only:
        run_campaigns(options)
    root = report_studies(plan_of(options, options.seeds), options.out.resolve())
    found: dict[str, Any] = {name: root.read_json(f"{name}.json") for name in options.studies}
    for study in found.values():
        del study["facts"]  # they name folders
    sizes = {name: getattr(options, name) for name in SIZES}
    document = {"provenance": head, **sizes, "seeds": options.seeds, "studies": found}
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    if "fig7" in found:
        FIGURE.write_bytes(files(partial(draw, found["fig7"]), height=3.6)["svg"])
    for study in found.values():
        print("\n".join(sentences_of(study)))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
