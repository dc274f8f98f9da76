"""What a GPU makes of the package: training, query, evaluation, cover, start-up; one command.

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
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from gpu_parts.setup import AHEAD, Part, Setup
from machine import described, provenance

ROOT = Path(__file__).parent
START, END = "start", "end"
STARTING = 30  # seconds for the imports of a process, on top of a part's limit
MEASURES = (
    "atal_ray.networks",
    "atal_ray.training",
    "atal_ray.labels",
    "atal_ray.acquisition",
    "atal_ray.inference",
    "atal_ray.campaign.evaluate",
    "atal_ray.campaign.query",
    "atal_ray.campaign.train",
    "atal_ray.runtime.workers",
)
PARTS = {
    AHEAD: ("gpu_parts.step:compile_ahead", 600),
    "ceilings": ("gpu_parts.step:ceilings", 30),
    "step": ("gpu_parts.step:plain_steps", 75),
    "training": ("gpu_parts.training:inline", 45),
    "loader": ("gpu_parts.loader:loader", 45),
    "compiled step": ("gpu_parts.step:compiled_steps", 120),
    "compiled training": ("gpu_parts.training:inline_compiled", 60),
    "estimate": ("gpu_parts.query:plain_estimates", 80),
    "query": ("gpu_parts.stages:query", 120),
    "evaluation": ("gpu_parts.stages:evaluation", 40),
    "k-center": ("gpu_parts.stages:k_center", 60),
    "compiled estimate": ("gpu_parts.query:compiled_estimates", 90),
    "step of the others": ("gpu_parts.step:plain_others", 45),
    "profile": ("gpu_parts.step:profile", 60),
    "drawing": ("gpu_parts.loader:drawing", 20),
    "start-up": ("gpu_parts.startup:startup", 60),
    "profile of the estimate": ("gpu_parts.query:profile", 30),
    "training on Ray": ("gpu_parts.training:on_ray", 90),
    "compiled step of the others": ("gpu_parts.step:compiled_others", 240),
}
"""What a part runs, and after how many seconds it is stopped; in the order of running.

The first one fills the compiler's cache beside the others.
"""


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
    """File of the figures."""
    work: Path | None = None
    """Folder for traces and a campaign; unset: a temporary one."""
    here: bool = False
    """Run the parts in this process."""


def main(options: Options) -> None:
    """Run the parts and print a table."""
    names = list(options.parts or PARTS)
    work = options.work or Path(tempfile.mkdtemp(prefix="atal-gpu-"))
    work.mkdir(parents=True, exist_ok=True)
    setup = Setup(
        data=options.data,
        weights=options.weights,
        stride_on=options.stride_on,
        work=work,
        small=options.size == "small",
        seconds=60 * options.minutes,
    )
    if options.here:
        run_here(setup, names)
        return
    head = provenance(MEASURES)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"provenance": head, "options": described(options), "parts": {}}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the processes of the parts are ended too
    end = time.monotonic() + setup.seconds
    beside = Child(options, [AHEAD], work / AHEAD) if AHEAD in names else None
    left = [name for name in names if name != AHEAD]
    try:
        while left and time.monotonic() < end:
            child = Child(options, left, work / "notes")
            for name, found in child.parts(end):
                left.remove(name)
                result["parts"][name] = found
                options.out.write_text(json.dumps(result, indent=1) + "\n")
                print_part(name, found)
    finally:
        if beside:
            beside.stop()
            result["parts"][AHEAD] = beside.read().get(AHEAD, {})
    result["left_out"] = left
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if left:
        print(f"no time was left for: {', '.join(left)}")


def part_of(name: str) -> Part:
    """The part of a name."""
    where, limit = PARTS[name]
    module, _, function = where.partition(":")
    return Part(getattr(importlib.import_module(module), function), limit)


def run_here(setup: Setup, names: list[str]) -> None:
    """Run parts in this process; a line of the notes for each start, measurement and end."""
    file = (setup.work / (AHEAD if names == [AHEAD] else "notes")).open("a")

    def write(part: str, what: str, figures: dict[str, Any]) -> None:
        file.write(json.dumps([part, what, figures]) + "\n")
        file.flush()

    for name in names:
        write(name, START, {})
        start, state = time.perf_counter(), "done"
        try:
            part_of(name).run(setup, partial(write, name))
        except Exception as error:  # the others go on
            traceback.print_exc()
            state = f"{type(error).__name__}: {error}"[:500]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        write(name, END, {"state": state, "seconds": round(time.perf_counter() - start, 1)})


class Child:
    """A process that runs parts one after the other; whoever dies or hangs is followed by another one.

    Args:
        options: of the run.
        names: of the parts.
        notes: the file that it writes.
    """

    def __init__(self, options: Options, names: list[str], notes: Path) -> None:
        self.names, self.notes, self.slow = list(names), notes, 10 if options.size == "small" else 1
        notes.unlink(missing_ok=True)
        paths = [str(ROOT), str(ROOT.parent), os.environ.get("PYTHONPATH", "")]
        arguments = [
            ["--data", options.data, "--stride-on", options.stride_on, "--size", options.size],
            ["--minutes", options.minutes, "--work", notes.parent, "--here", "--parts", *names],
            ["--weights", options.weights] if options.weights else [],
        ]
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "gpu.py"), *(str(word) for words in arguments for word in words)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            start_new_session=True,
        )

    def stop(self) -> None:
        """End the process and what it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def read(self) -> dict[str, dict[str, Any]]:
        """The figures of each part that has begun; "state" only of those that have ended."""
        found: dict[str, dict[str, Any]] = {}
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        for part, what, figures in map(json.loads, lines):
            if what == START:
                found[part] = {"figures": {}}
            elif what == END:
                found[part].update(figures)
            else:
                found[part]["figures"][what] = figures
        return found

    def parts(self, end: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each part when it has ended, until the last one or the first that is stopped or dies."""
        try:
            for name in self.names:
                start = time.monotonic()
                until = min(end, start + self.slow * PARTS[name][1] + STARTING)
                while "state" not in self.read().get(name, {}):
                    if self.process.poll() is not None or time.monotonic() > until:
                        self.stop()
                        break
                    time.sleep(0.2)
                found = self.read().get(name, {"figures": {}})
                stopped = "died" if time.monotonic() < until else "stopped at its limit"
                yield name, {"state": stopped, "seconds": round(time.monotonic() - start, 1), **found}
                if self.process.poll() is not None and "state" not in found:
                    return
        finally:
            self.stop()


def print_part(name: str, found: dict[str, Any]) -> None:
    """The figures of a part, one line for each measurement."""
    print(f"{name}: {found['state']}, {found['seconds']} s", flush=True)
    for what, figures in found["figures"].items():
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
