"""How much training does a sweep save? 3 K x 3 L x 3 budgets as one sweep, killed once, and as 27 campaigns
of their own.

    python benchmarks/sweep_sharing.py --train DUTS-TR --test ECSSD --folder /tmp/sweep-sharing

Real images, a small network. The sweep is killed by SIGKILL when its first trial has finished and started
again; its wall time is that of both calls. Then campaigns run alone, each from its own YAML; points and
metrics must be equal, digit by digit. `--alone all` runs all 27, `one-k` (whatever K is, a training takes as
long) the nine of one K, whose wall time then counts three times, `two` only two of them. Writes
benchmarks/results/sweep_sharing.json.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro
from machine import provenance

from atal_ray.campaign.campaign_folder import METRICS, CampaignFolder
from atal_ray.config import (
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    QueryConfig,
    ResourceConfig,
    TrainConfig,
    config_file,
)
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.plan import Sweep, Trial

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "sweep_sharing.json"
MEASURES = ("atal_ray.studies.sweep",)
OVER = ("query.top-percent=2,5,15", "train.cycles=1,2,3", "budget.total=2,4,6")
LOOK_SECONDS, MOST_SECONDS = 0.2, 3600.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """Folder of real images with masks."""
    test: Path
    """A test set."""
    folder: Path
    """Where everything goes."""
    images: int = 24
    side: int = 96
    alone: Literal["two", "one-k", "all"] = "one-k"
    """Which campaigns are run on their own too."""


def config_of(options: Options) -> Config:
    """Six epochs, which 1, 2 and 3 cycles divide; 2 + 2 + 2 points."""
    return Config(
        data=DataConfig(
            train=str(options.train),
            tests=(str(options.test),),
            limit=options.images,
            test_limit=2 * options.images,
        ),
        network=NetworkConfig(name="f3net-small"),
        train=TrainConfig(
            size=options.side, scales=(options.side,), epochs=6, cycles=3, batch_size=8, lr_max=0.02
        ),
        query=QueryConfig(shard_size=8, batch_size=8),
        budget=BudgetConfig(total=6),
        resources=ResourceConfig(object_store_mib=256),
    )


def call(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / script), *arguments], env=environment, stderr=subprocess.DEVNULL
    )


def timed_sweep(plan: Sweep, folder: Path, config: Path) -> tuple[float, int]:
    """Seconds of both calls of a sweep that is killed once, and rounds that were committed when it was."""
    arguments = (str(config), str(folder), "--over", *plan.over)
    began = time.monotonic()
    process = call("sweep.py", *arguments)
    while not any(folder.glob("trials/*/report.html")):
        if process.poll() is not None or time.monotonic() - began > MOST_SECONDS:
            raise RuntimeError("the sweep ended, or hung, before it could be killed")
        time.sleep(LOOK_SECONDS)
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = len(list(folder.glob("*/*/round-*/COMMITTED")))
    if call("sweep.py", *arguments).wait() != 0:
        raise RuntimeError("the sweep did not go on")
    return time.monotonic() - began, committed


def timed_campaign(trial: Trial, total: int, swept: Folder, folder: Path) -> dict[str, Any]:
    """Run one of the separate campaigns, and hold its points and metrics against the sweep's."""
    config = replace(trial.config, budget=replace(trial.config.budget, total=total))
    name = f"{trial.name}_total-{total}"
    (folder / f"{name}.yaml").write_text(config_file.to_yaml(config))
    began = time.monotonic()
    if call("run.py", str(folder / f"{name}.yaml"), str(folder / name)).wait() != 0:
        raise RuntimeError(f"{name} failed")
    seconds = time.monotonic() - began
    ours, theirs = CampaignFolder(Folder(str(folder / name))), CampaignFolder(swept)
    last = config.rounds - 1
    equal = ours.points(last).equals(theirs.points(last)) and ours.round(last).read_json(
        METRICS
    ) == theirs.round(last).read_json(METRICS)
    shutil.rmtree(folder / name)
    print(f"{name}: {seconds:.0f} s, {'equal' if equal else 'OTHER'} points and metrics", flush=True)
    return {"campaign": name, "seconds": round(seconds, 1), "equal": equal}


def main(options: Options) -> None:
    head = provenance(MEASURES)
    options.folder.mkdir(parents=True, exist_ok=True)
    plan, config = Sweep(over=OVER, campaign=config_of(options)), options.folder / "config.yaml"
    config.write_text(config_file.to_yaml(plan.campaign))
    folder = options.folder / "sweep"
    shutil.rmtree(folder, ignore_errors=True)
    seconds, committed = timed_sweep(plan, folder, config)
    print(f"sweep: {seconds:.0f} s, killed after {committed} committed rounds", flush=True)
    cells = [(trial, total) for trial in plan.trials() for total in plan.totals]
    chosen = {"all": cells, "one-k": cells[9:18], "two": [cells[5], cells[-1]]}[options.alone]
    alone = [
        timed_campaign(trial, total, Folder(str(folder / "trials" / trial.name)), options.folder)
        for trial, total in chosen
    ]
    work = json.loads((folder / "sweep.json").read_text())["work"]
    separate = (
        sum(row["seconds"] for row in alone) * len(cells) / len(chosen) if options.alone != "two" else None
    )
    result = {
        "what": __doc__.partition("\n")[0],
        "provenance": head,
        "data": f"{options.images} images of {options.train.name}, {2 * options.images} of "
        f"{options.test.name}, {options.side} px",
        "over": list(OVER),
        "work": work,
        "share_of_passes": work["passes"] / work["separate_passes"],
        "sweep_seconds": round(seconds, 1),
        "alone_were": options.alone,
        "separate_seconds": separate and round(separate, 1),
        "separate_seconds_scaled_by": len(cells) / len(chosen),
        "share_of_seconds": separate and seconds / separate,
        "rounds_committed_at_the_kill": committed,
        "alone": alone,
        "equal": sum(row["equal"] for row in alone),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    share = result["share_of_passes"]
    print(f"{work['passes']} of {work['separate_passes']} image passes ({share:.0%}): {RESULT}")


if __name__ == "__main__":
    main(tyro.cli(Options))
