"""Do well-chosen points teach more than random ones? maxF and MAE on ECSSD, beside full masks.

    python benchmarks/learning_check.py /path/to/DUTS-TR /path/to/ECSSD resnet50.pth --out runs/learning

Each method is a campaign of its own, on one CPU thread; ATAL and random points share round 0; an interrupted
check goes on where it was, and seeds may run side by side (--seeds 0, --seeds 1) before one call for all of
them gathers the figures. A Gaussian in the middle of every image says what can be had without training.
Writes benchmarks/results/learning_check.json with every figure, and a table of them to the terminal.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from machine import provenance

from atal_ray.campaign.campaign_folder import COMMITTED, ERRORS, METRICS, QUERIES
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, presets
from atal_ray.data.images import read_mask
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import records
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.metrics.saliency_map import to_uint8

RESULT = Path(__file__).parent / "results" / "learning_check.json"
MEASURES = (
    "atal_ray.acquisition.attack",
    "atal_ray.acquisition.candidates",
    "atal_ray.acquisition.ensemble",
    "atal_ray.acquisition.estimate",
    "atal_ray.acquisition.features",
    "atal_ray.acquisition.grid",
    "atal_ray.acquisition.pick",
    "atal_ray.acquisition.rds",
    "atal_ray.acquisition.uncertainty",
    "atal_ray.campaign.query.score",
    "atal_ray.campaign.train",
    "atal_ray.labels",
    "atal_ray.metrics.fmeasure",
    "atal_ray.metrics.mae",
    "atal_ray.networks.f3net",
    "atal_ray.networks.resnet",
    "atal_ray.training",
)


REFERENCE_MEASURES = ("atal_ray.data.manifest", "atal_ray.data.record", "atal_ray.metrics")
FIGURES = ("max_f", "mae", "s_measure")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What is run."""

    train: tyro.conf.Positional[str]
    """DUTS-TR."""
    test: tyro.conf.Positional[str]
    """ECSSD."""
    weights: tyro.conf.Positional[str]
    """ImageNet weights of a ResNet-50 that strides on its 1x1 convolutions."""
    out: Path = Path("runs/learning")
    """Where the campaigns go."""
    seeds: tuple[int, ...] = (0, 1)
    images: int = 100
    test_images: int = 150
    epochs: int = 12
    points: int = 6
    reference_only: bool = False
    """Score the untrained reference alone, and put it into the result that is there."""


def configure(options: Options, seed: int) -> Config:
    """The small CPU campaign on real images."""
    base = presets.cpu_small()
    data = dataclasses.replace(
        base.data,
        train=options.train,
        tests=(options.test,),
        limit=options.images,
        test_limit=options.test_images,
    )
    return dataclasses.replace(
        base,
        seed=seed,
        data=data,
        network=dataclasses.replace(base.network, weights=options.weights, stride_on="1x1"),
        train=dataclasses.replace(base.train, epochs=options.epochs, threads=1),
        budget=dataclasses.replace(base.budget, total=options.points),
        query=dataclasses.replace(base.query, threads=1),
    )


def methods(config: Config) -> dict[str, Config]:
    """ATAL, the same number of random points, and full masks (one training)."""
    return {
        "atal": config,
        "random": dataclasses.replace(config, query=dataclasses.replace(config.query, strategy="random")),
        "full masks": dataclasses.replace(
            config, regions=dataclasses.replace(config.regions, labels="dense")
        ),
    }


def share_start(done: Path, fresh: Path) -> None:
    """Give a campaign the round 0 of another: the same points train the same network."""
    if not fresh.exists():
        ignore = shutil.ignore_patterns(
            "config.yaml", "report.html", "*.lock", QUERIES, ERRORS, COMMITTED, "round-0[1-9]"
        )
        copying = fresh.with_name(f"{fresh.name}.copying")
        shutil.rmtree(copying, ignore_errors=True)
        shutil.copytree(done, copying, ignore=ignore)
        shutil.copy(done / "seed" / QUERIES, copying / "seed")
        copying.rename(fresh)


def scores(config: Config, folder: Path, test: str) -> list[dict[str, Any]]:
    """The figures of each round of a finished campaign."""
    done = run_campaign(config, folder)
    rows = []
    for number in range(config.rounds):
        metrics = done.round(number).read_json(METRICS)[Path(test).resolve().name]
        figures = {who: {name: metrics[who][name] for name in FIGURES} for who in ("ensemble", "last")}
        points = (
            None
            if config.regions.labels == "dense"
            else config.budget.start + number * config.budget.per_round
        )
        rows.append({"points": points, **figures})
    return rows


def centred_gaussian(test: str, images: int) -> dict[str, Any]:
    """What a map scores that has seen no image: exp(-3 (x^2 + y^2)), x and y from -1 to 1 over the image.

    Its maxF does not depend on the 3, its MAE does.
    """
    sums = Accumulator()
    for record in records(build_manifest(test, limit=images).table, test):
        mask = read_mask(str(record.mask)).astype(bool)
        y, x = np.ogrid[-1 : 1 : mask.shape[0] * 1j, -1 : 1 : mask.shape[1] * 1j]
        sums.add(to_uint8(np.exp(-3 * (x**2 + y**2))), mask, record.image_id)
    found = sums.summary().to_json()
    return {
        "method": "centred Gaussian, untrained",
        "images": images,
        **{name: found[name] for name in FIGURES},
    }


def run_all(options: Options, head: dict[str, Any]) -> dict[str, Any]:
    """Run all campaigns; the result is written after each one."""
    runs: list[dict[str, Any]] = []
    reference = centred_gaussian(options.test, options.test_images)
    for seed in options.seeds:
        config = configure(options, seed)
        for method, chosen in methods(config).items():
            folder = options.out / f"{method.replace(' ', '-')}-{seed}"
            if method == "random":
                share_start(options.out / f"atal-{seed}", folder)
            rounds = scores(chosen, folder, options.test)
            runs += [{"method": method, "seed": seed, **row} for row in rounds]
            result = {
                "provenance": head,
                "data": ["DUTS-TR", "ECSSD"],
                "images": options.images,
                "test_images": options.test_images,
                "size": config.train.size,
                "epochs": options.epochs,
                "cycles": config.train.cycles,
                "reference": reference,
                "runs": runs,
            }
            write(result)
    return result


def write(result: dict[str, Any]) -> None:
    """Replace the result file."""
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def main(options: Options) -> None:
    """Run what is asked for, and print a table of the figures."""
    if options.reference_only:
        head = provenance(REFERENCE_MEASURES)
        result = json.loads(RESULT.read_text())
        measured = centred_gaussian(options.test, result["test_images"])
        runs = result.pop("runs")
        write(result := {**result, "reference": {**measured, "provenance": head}, "runs": runs})
    else:
        head = provenance(MEASURES)
        result = run_all(options, head)
    print(f"{result['reference']['method']}:  " + figures_of(result["reference"]))
    for run in result["runs"]:
        points = run["points"] or "all"
        print(f"{run['method']:10} seed {run['seed']}  points {points:>3}  " + figures_of(run["ensemble"]))


def figures_of(found: dict[str, Any]) -> str:
    """Figures of one network or map, in a line."""
    return "  ".join(f"{name} {found[name]:.4f}" for name in FIGURES)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
