"""Does an evaluation's memory grow with the number of images? Peak memory for 100, 1,000 and 10,000 pairs,
and the seconds.

    python benchmarks/evaluation_memory.py --folder /tmp/pairs

Synthetic pairs (a few maps and masks, linked under as many names) of 300x400 px, two actors. Each size is a
process of its own: memory is the peak, over all processes of the run, of what is theirs alone (USS), sampled,
and the driver's own peak. Writes benchmarks/results/evaluation_memory.json.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import tyro
from machine import provenance

RESULT = Path(__file__).parent / "results" / "evaluation_memory.json"
MEASURES = (
    "atal_ray.evaluation.compare",
    "atal_ray.evaluation.maps",
    "atal_ray.evaluation.score_maps",
    "atal_ray.metrics",
    "atal_ray.runtime.shards",
)
MIB = 2**20
KINDS = 20


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    folder: Path
    """Where the pairs and the results go."""
    sizes: tuple[int, ...] = (100, 1_000, 10_000)
    actors: int = 2


def make_pairs(folder: Path, count: int) -> Path:
    """A dataset of masks, and maps beside it: hard links to KINDS different ones."""
    place = folder / f"pairs-{count}"
    if place.exists():
        return place
    rng = np.random.default_rng(0)
    for kind in ("masks", "maps", "source"):
        (place / kind).mkdir(parents=True)
    for index in range(KINDS):
        mask = cv2.GaussianBlur(rng.random((300, 400)), (0, 0), 25) > 0.5
        saliency = cv2.GaussianBlur(mask * 255.0, (0, 0), 6) + rng.normal(0, 12, mask.shape)
        cv2.imwrite(str(place / f"source/mask{index}.png"), mask.astype(np.uint8) * 255)
        cv2.imwrite(str(place / f"source/map{index}.png"), np.clip(saliency, 0, 255).astype(np.uint8))
    for number in range(count):
        for kind in ("mask", "map"):
            (place / f"{kind}s/{number:06d}.png").hardlink_to(place / f"source/{kind}{number % KINDS}.png")
    return place


def measure(place: Path, actors: int) -> dict[str, Any]:
    """Run `atal evaluate` on the pairs and watch its memory."""
    out = place / f"result-{time.time_ns()}"
    command = [
        str(Path(sys.executable).with_name("atal")),
        "evaluate",
        str(out),
        "--masks",
        str(place / "masks"),
    ]
    command += ["--maps", f"method={place / 'maps'}", "--actors", str(actors)]
    started = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    driver = workers = 0
    while process.poll() is None:
        driver = max(driver, _own(process))
        workers = max(workers, sum(_own(child) for child in _children(process) if "ray::" in _title(child)))
        time.sleep(0.2)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return {"seconds": time.monotonic() - started, "driver_mib": driver / MIB, "workers_mib": workers / MIB}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _own(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().uss)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return ""


def main(options: Options) -> None:
    """Measure every size and write the figures."""
    head = provenance(MEASURES)
    rows = []
    print(f"{'pairs':>8} {'seconds':>8} {'driver MiB':>11} {'workers MiB':>12}")
    for size in options.sizes:
        found = {"pairs": size, **measure(make_pairs(options.folder, size), options.actors)}
        print(
            f"{size:8,} {found['seconds']:8.1f} {found['driver_mib']:11.0f} {found['workers_mib']:12.0f}",
            flush=True,
        )
        rows.append(found)
    settings = {**asdict(options), "folder": None}
    RESULT.write_text(json.dumps({"provenance": head, "options": settings, "runs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
