"""What does a sweep leave and hold with the number of its trials? Files, Ray's logs, processes, the driver's
memory.

    python benchmarks/sweep_growth.py --folder /tmp/sweep-growth

The trials are quick: each reports three scores from its own process and ends, as a campaign does; what a
campaign's own stages leave is the same for every trial, and is measured for one of two rounds on drawn
images.
Each number of trials is a process of its own. Writes benchmarks/results/sweep_growth.json.
"""

import dataclasses
import json
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import tyro
from campaign_memory import own
from machine import provenance

RESULT = Path(__file__).parent / "results" / "sweep_growth.json"
MEASURES = ("atal_ray.runtime.ray_tune", "atal_ray.runtime.session", "atal_ray.runtime.trials")
MIB = 2**20
STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    folder: Path
    """Where trials and campaigns leave their files."""
    trials: tuple[int, ...] = (5, 40)
    at_once: int = 2


class Silent:
    """Looks at no trial."""

    def on_report(self, name: str, report: Any) -> None:
        """A trial has done a step."""

    def on_end(self, name: str, last: Any) -> None:
        """A trial has ended."""


def quick(name: str, report: Any) -> None:
    """A trial that reports and ends."""
    from atal_ray.runtime.trials import TrialReport

    for step in range(STEPS):
        report(TrialReport(step, len(name) / (step + 1)))


def of_trials(trials: int, options: Options) -> dict[str, Any]:
    """Run so many and look at what there is at the end."""
    from sweep_growth import quick  # by a name that the workers find

    from atal_ray.runtime.session import session
    from atal_ray.runtime.trials import TrialSet, run_trials
    from atal_ray.store.folder import Folder

    logs = options.folder / f"tune-{trials}"
    fields = {f"trial-{number:03d}": {"number": number} for number in range(trials)}
    with session("ray", 2, 128):
        of_set = TrialSet(quick, fields, Folder(str(logs)), "growth", options.at_once)
        started = time.monotonic()
        failed = run_trials(of_set, Silent(), "ray")
        assert not failed
        return {
            "trials": trials,
            "seconds": round(time.monotonic() - started, 1),
            "tune": files_in(logs),
            **in_session(),
        }


def of_campaign(_: int, options: Options) -> dict[str, Any]:
    """Run a campaign of two rounds and look at what Ray has."""
    from atal_ray.campaign.run import run_campaign
    from atal_ray.config import presets
    from atal_ray.runtime.session import session

    demo = presets.demo()
    config = dataclasses.replace(demo, budget=dataclasses.replace(demo.budget, total=4))
    with session("ray", 2, 256):
        started = time.monotonic()
        run_campaign(config, options.folder / "campaign")
        return {"seconds": round(time.monotonic() - started, 1), **in_session()}


def in_session() -> dict[str, Any]:
    """The files of this Ray, its processes, and this process's memory."""
    from ray._private.worker import _global_node

    place = Path(_global_node.get_session_dir_path()) / "logs"
    processes = psutil.Process().children(recursive=True)
    return {
        "ray_logs": files_in(place),
        "processes": len(processes),
        "driver_mib": round(own() / MIB, 1),
    }


def files_in(folder: Path) -> dict[str, float]:
    """How many files, and their size."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {"files": len(files), "mib": round(sum(path.stat().st_size for path in files) / MIB, 3)}


def in_a_process(work: Any, number: int, options: Options) -> dict[str, Any]:
    """What the work returns; its memory goes with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return dict(pool.submit(work, number, options).result())


def main(options: Options) -> None:
    """Measure every number of trials and write the figures."""
    head = provenance(MEASURES)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    rows = []
    for trials in options.trials:
        rows.append(in_a_process(of_trials, trials, options))
        print(rows[-1], flush=True)
    campaign = in_a_process(of_campaign, 0, options)
    print(campaign, flush=True)
    result = {"provenance": head, "options": {**asdict(options), "folder": None}}
    RESULT.write_text(json.dumps({**result, "trials": rows, "campaign": campaign}, indent=1) + "\n")


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    main(tyro.cli(Options, description=__doc__))
