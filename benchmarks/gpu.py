"""What a GPU makes of the package: training step, loader, a campaign's training, start-up; one command.

    python benchmarks/gpu.py --data DUTS-TR --weights resnet50.pth --minutes 6

Each part runs in a process of its own with a limit of its own, so that one that fails or hangs loses nothing
of the others. The JSON file is written after each part. Without a GPU the same runs on the CPU, at
`--size small` in seconds.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from gpu_parts.setup import Part, Setup
from machine import provenance

ROOT = Path(__file__).parent
MEASURES = (
    "atal_ray.networks",
    "atal_ray.training",
    "atal_ray.labels",
    "atal_ray.campaign.train",
    "atal_ray.runtime.workers",
)
PARTS = {
    "ceilings": ("gpu_parts.step:ceilings", 60),
    "step": ("gpu_parts.step:plain_steps", 120),
    "start-up": ("gpu_parts.startup:startup", 90),
    "loader": ("gpu_parts.loader:loader", 60),
    "drawing": ("gpu_parts.loader:drawing", 30),
    "training": ("gpu_parts.training:inline", 60),
    "compiled step": ("gpu_parts.step:compiled_steps", 200),
    "compiled training": ("gpu_parts.training:inline_compiled", 90),
    "training on Ray": ("gpu_parts.training:on_ray", 90),
    "profile": ("gpu_parts.step:profile", 100),
    "compiled step of the others": ("gpu_parts.step:compiled_others", 300),
}
"""What a part runs, and after how many seconds it is stopped; in the order of running."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    data: Path
    """Folder of images with masks."""
    weights: Path | None = None
    """ImageNet weights of a ResNet-50; unset: random ones."""
    stride_on: Literal["3x3", "1x1"] = "3x3"
    """Where the bottlenecks of these weights stride."""
    minutes: float = 6
    """Time for all parts; those that would begin later are left out."""
    size: Literal["full", "small"] = "full"
    """352 px and the published networks, or a few images at 64 px."""
    parts: tuple[str, ...] = ()
    """Names of parts; all where none is named."""
    out: Path = ROOT / "results" / "gpu.json"
    """File of the figures; traces and the campaign go to a folder beside it."""
    only: str | None = None
    """Run this part alone, in this process."""


def main(options: Options) -> None:
    """Run the parts and print a table."""
    work = options.out.with_suffix("")
    work.mkdir(parents=True, exist_ok=True)
    setup = Setup(
        data=options.data,
        weights=options.weights,
        stride_on=options.stride_on,
        work=work,
        small=options.size == "small",
        seconds=60 * options.minutes,
    )
    if options.only:
        run_here(setup, options.only)
        return
    head = provenance(MEASURES)
    result: dict[str, Any] = {"provenance": head, "options": described(options), "parts": {}}
    start = time.perf_counter()
    for name in options.parts or PARTS:
        left = setup.seconds - (time.perf_counter() - start)
        limit = PARTS[name][1] * (10 if setup.small else 1)  # a CPU may be busy with other things
        result["parts"][name] = found = run_apart(name, left, limit, work)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
        print_part(name, found)


def described(options: Options) -> dict[str, Any]:
    """The options as JSON takes them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}


def part_of(name: str) -> Part:
    """The part of a name."""
    where, limit = PARTS[name]
    module, _, function = where.partition(":")
    return Part(getattr(importlib.import_module(module), function), limit)


def notes_of(work: Path, name: str) -> Path:
    """The file in which a part leaves its figures, one line for each measurement."""
    return work / f"{name.replace(' ', '-')}.jsonl"


def run_here(setup: Setup, name: str) -> None:
    """Run a part in this process."""
    with notes_of(setup.work, name).open("w") as file:

        def note(what: str, figures: dict[str, Any]) -> None:
            file.write(json.dumps([what, figures]) + "\n")
            file.flush()
            print(f"  {what}: {short(figures)}", flush=True)

        part_of(name).run(setup, note)


def run_apart(name: str, left: float, limit: float, work: Path) -> dict[str, Any]:
    """Run a part in a process of its own, until its limit or the end of the run's time."""
    if left <= 0:
        return {"left_out": "no time was left"}
    notes = notes_of(work, name)
    notes.unlink(missing_ok=True)
    paths = [str(ROOT), str(ROOT.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *sys.argv, "--only", name], env=environment, start_new_session=True
    )
    state = "done"
    try:
        if process.wait(min(left, limit)):
            state = f"failed with status {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        state = "stopped at its limit"
    lines = notes.read_text().splitlines() if notes.exists() else []
    figures = dict(json.loads(line) for line in lines)
    return {"state": state, "seconds": round(time.perf_counter() - start, 1), "figures": figures}


def print_part(name: str, found: dict[str, Any]) -> None:
    """The figures of a part, one line for each measurement."""
    print(f"{name}: {found.get('left_out') or found['state']} {found.get('seconds', '')}")
    for what, figures in found.get("figures", {}).items():
        print(f"  {what:60} {short(figures)}", flush=True)


def short(figures: dict[str, Any]) -> str:
    """Figures in one line."""
    parts = []
    for key, value in figures.items():
        if isinstance(value, float):
            parts.append(f"{key} {value:.4g}")
        elif not isinstance(value, list | dict):
            parts.append(f"{key} {value}")
    return ", ".join(parts)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
