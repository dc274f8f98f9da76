"""Images a second of training and of the query (attack and ensemble scoring) for each network, and the peak
memory.

    python benchmarks/network_speed.py --train-batch 16 --query-batch 16

Noise images at one side; the cost of a step does not depend on what an image shows. Decoding, superpixels and
RDS are not in it. Each measurement has a process of its own, on the GPU where there is one. Writes
benchmarks/results/network_speed_cuda.json, or ..._cpu.json, and a table of it to the terminal.
"""

import json
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from machine import provenance

from atal_ray import networks
from atal_ray.acquisition.estimate import estimate
from atal_ray.config import AttackConfig, NetworkConfig, TrainConfig
from atal_ray.training.step import build_optimizer, train_step

RESULTS = Path(__file__).parent / "results"
MEASURES = (
    "atal_ray.acquisition.attack",
    "atal_ray.acquisition.ensemble",
    "atal_ray.acquisition.estimate",
    "atal_ray.networks.f3net",
    "atal_ray.networks.minet",
    "atal_ray.networks.pfsnet",
    "atal_ray.networks.resnet",
    "atal_ray.training.losses",
    "atal_ray.training.step",
)
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    networks: tuple[str, ...] = ("f3net", "minet", "pfsnet")
    size: int = 352
    train_batch: int = 16
    query_batch: int = 16
    snapshots: int = 5
    """L of the ensemble."""
    repeats: int = 5
    threads: int = 2
    """CPU threads, where there is no GPU."""


def measure(name: str, task: Literal["train", "query"], options: Options) -> dict[str, float]:
    """Median images a second, and the peak memory in MiB (of the GPU, or of the process)."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = options.train_batch if task == "train" else options.query_batch
    work = (training if task == "train" else asking)(name, options, device)
    work()  # the first pass plans convolutions and allocates
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = [timed(work, device) for _ in range(options.repeats)]
    peak = (
        torch.cuda.max_memory_allocated()
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {"images_per_s": batch / statistics.median(seconds), "peak_mib": peak / MIB}


def training(name: str, options: Options, device: torch.device) -> Callable[[], object]:
    """One step of the point-supervised recipe on a batch with a dozen labelled pixels an image."""
    network = networks.build(NetworkConfig(name=name, weights="random")).to(device).train()
    optimizer = build_optimizer(network, TrainConfig())
    shape = (options.train_batch, options.size, options.size)
    images = torch.randint(0, 256, (shape[0], 3, *shape[1:]), dtype=torch.uint8, device=device)
    targets = torch.full(shape, 255, dtype=torch.uint8, device=device)
    targets[:, :: options.size // 4, :: options.size // 3] = 1
    return lambda: train_step(network, network, optimizer, images, targets, TrainConfig())


def asking(name: str, options: Options, device: torch.device) -> Callable[[], object]:
    """Attack and scoring of a batch by L snapshots, as the query does it."""
    built = (networks.build(NetworkConfig(name=name, weights="random")) for _ in range(options.snapshots))
    snapshots = [network.to(device).eval().requires_grad_(False) for network in built]
    images = torch.rand(options.query_batch, 3, options.size, options.size, device=device)
    return lambda: estimate(snapshots, images, AttackConfig())


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that the work takes, to its end on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(options: Options) -> None:
    """Measure every network and write the figures."""
    head = provenance(MEASURES)
    found: dict[str, dict[str, Any]] = {}
    print(f"{'network':10} {'task':6} {'images/s':>10} {'peak MiB':>10}")
    for name in options.networks:
        for task in ("train", "query"):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                figures = pool.submit(measure, name, task, options).result()
            found.setdefault(name, {})[task] = figures
            print(
                f"{name:10} {task:6} {figures['images_per_s']:10.3f} {figures['peak_mib']:10.0f}", flush=True
            )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    result = {
        "provenance": head,
        "options": asdict(options),
        "attack": asdict(AttackConfig()),
        "networks": found,
    }
    (RESULTS / f"network_speed_{device}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
