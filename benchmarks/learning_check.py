"""Do well-chosen points teach more than random ones? maxF on ECSSD after each round, against full masks.

    python benchmarks/learning_check.py /path/to/DUTS-TR /path/to/ECSSD resnet50.pth --out runs/learning

Each method is a campaign of its own, on one CPU thread; ATAL and random points share round 0; an interrupted
check goes on where it was, and seeds may run side by side (--seeds 0, --seeds 1) before one call for all of
them gathers the figures. Writes benchmarks/results/learning_check.json with every figure, and a table of them
to the terminal.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import tyro
from machine import provenance

from atal_ray.campaign.campaign_folder import COMMITTED, ERRORS, METRICS, QUERIES
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, presets

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


def configure(
    train: str, test: str, weights: str, seed: int, images: int, test_images: int, epochs: int, points: int
) -> Config:
    """The small CPU campaign on real images, with the ImageNet weights of a ResNet that strides on its 1x1
    convolutions.
    """
    base = presets.cpu_small()
    return dataclasses.replace(
        base,
        seed=seed,
        data=dataclasses.replace(base.data, train=train, tests=(test,), limit=images, test_limit=test_images),
        network=dataclasses.replace(base.network, weights=weights, stride_on="1x1"),
        train=dataclasses.replace(base.train, epochs=epochs, threads=1),
        budget=dataclasses.replace(base.budget, total=points),
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
        figures = {
            who: {name: metrics[who][name] for name in ("max_f", "mae", "s_measure")}
            for who in ("ensemble", "last")
        }
        points = (
            None
            if config.regions.labels == "dense"
            else config.budget.start + number * config.budget.per_round
        )
        rows.append({"points": points, **figures})
    return rows


def main(
    train: tyro.conf.Positional[str],
    test: tyro.conf.Positional[str],
    weights: tyro.conf.Positional[str],
    out: Path = Path("runs/learning"),
    seeds: tuple[int, ...] = (0, 1),
    images: int = 100,
    test_images: int = 150,
    epochs: int = 12,
    points: int = 6,
) -> None:
    """Run all campaigns and write the result after each one."""
    head = provenance(MEASURES)
    RESULT.parent.mkdir(exist_ok=True)
    runs: list[dict[str, Any]] = []
    for seed in seeds:
        config = configure(train, test, weights, seed, images, test_images, epochs, points)
        for method, chosen in methods(config).items():
            folder = out / f"{method.replace(' ', '-')}-{seed}"
            if method == "random":
                share_start(out / f"atal-{seed}", folder)
            rounds = scores(chosen, folder, test)
            runs += [{"method": method, "seed": seed, **row} for row in rounds]
            setting = {
                "images": images,
                "test_images": test_images,
                "size": config.train.size,
                "epochs": epochs,
                "cycles": config.train.cycles,
            }
            RESULT.write_text(
                json.dumps(
                    {"provenance": head, "data": ["DUTS-TR", "ECSSD"], **setting, "runs": runs}, indent=1
                )
                + "\n"
            )
    for run in runs:
        figures = "  ".join(f"{who} {run[who]['max_f']:.4f}" for who in ("ensemble", "last"))
        print(f"{run['method']:10} seed {run['seed']}  points {run['points'] or 'all':>3}  maxF {figures}")


if __name__ == "__main__":
    tyro.cli(main)
