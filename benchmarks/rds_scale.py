"""RDS over millions of candidates: exact k-center, Algorithm 1 as printed and Eq. 10, each against plain passes over the matrix.

    python benchmarks/rds_scale.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

Candidates are real decoder features, repeated with noise of 1 % of each dimension's deviation up to the number asked for. Each form
and its rival take turns on the same matrix and the same number of threads, NumPy's own products on one. Picks of k-center are proved
apart from any rival: a float64 pass over all candidates and picks finds at each pick how much farther than the chosen candidate
another one is. Writes benchmarks/results/rds_scale.json, and a table of it to the terminal. Needs the rivals: `make .venv/compared`.
"""

import importlib
import json
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from candidate_features import candidate_features
from flat_passes import farther, flat_kcenter, reads
from machine import provenance
from numpy.typing import NDArray

from atal_ray.sampling import cover_lazy
from atal_ray.sampling.cover_lazy import cover_kcenter_lazy
from atal_ray.sampling.cover_scan import cover_maxsum_scan
from atal_ray.sampling.similarity import least_similar

RESULT = Path(__file__).parent / "results" / "rds_scale.json"
ROUNDING = 1e-9
"""Of the proof's float64 products, as a share of a squared distance."""
FLAT = "flat, flat_m picks"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots give the features; made if it is not there."""
    images: int = 270
    """Images with 3,700 candidates each."""
    counts: tuple[int, ...] = (1_000_000, 10_000_000)
    m: int = 1_000
    flat_m: int = 200
    """Picks of the flat pass; every one takes the same time, so its seconds are those for m in proportion."""
    many: tuple[int, int] = (311_000, 105_000)
    """Candidates and picks of a long cover: what one budget for the 10,553 images of DUTS-TR asks for, with default settings."""
    passes: int = 20
    """Picks of Algorithm 1 as printed."""
    least: int = 1_000
    """Candidates asked of Eq. 10."""
    labelled: int = 1_000
    rival: tuple[int, int] = (200_000, 1_000)
    """Candidates and picks beside fpsample."""
    threads: int = os.cpu_count() or 1
    repeats: int = 5


def enlarge(features: Matrix, count: int) -> Matrix:
    """The features again and again; every copy behind the first has its own noise."""
    whole, rng = np.empty((count, features.shape[1]), np.float32), np.random.default_rng(0)
    deviation = 0.01 * features.std(axis=0)
    for first in range(0, count, len(features)):
        part = whole[first : first + len(features)]
        part[:] = features[: len(part)]
        if first:
            part += rng.standard_normal(part.shape, np.float32) * deviation
    return whole


def turns(forms: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Any]:
    """Seconds of each form, which take turns; the medians."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name].append(time.perf_counter() - start)
    return {"median_s": {name: statistics.median(values) for name, values in seconds.items()}, "repeats_s": seconds}


def measured_pairs(cover: Callable[[], object]) -> int:
    """Distances between a candidate and a pick that k-center computes."""
    pairs, closeness = 0, cover_lazy.Picks.closeness

    def counted(picks: cover_lazy.Picks, points: Matrix, since: int) -> Matrix:
        nonlocal pairs
        pairs += len(points) * (picks.count - since)
        return closeness(picks, points, since)

    cover_lazy.Picks.closeness = counted  # type: ignore[method-assign,assignment]
    try:
        cover()
    finally:
        cover_lazy.Picks.closeness = closeness  # type: ignore[method-assign]
    return pairs


def peak_mib(work: Callable[[], object]) -> float:
    """Peak of the memory that the work allocates beyond what is there."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def scale(x: Matrix, options: Options) -> dict[str, Any]:
    """All three over one number of candidates."""
    threads, picks, flat = options.threads, np.empty(0, np.int64), np.empty(0, np.int64)
    labelled = x[:: len(x) // options.labelled].copy()

    def ours() -> None:
        nonlocal picks
        picks = cover_kcenter_lazy(x, options.m, threads=threads)

    def rival() -> None:
        nonlocal flat
        flat = flat_kcenter(x, options.flat_m, threads)

    def summed() -> Indices:
        return cover_maxsum_scan(x, options.passes, threads=threads)

    def least(backend: Any) -> Indices:
        return least_similar(x, labelled, options.least, "mean", backend, threads=threads)

    def often(work: Callable[[], object]) -> None:
        for _ in range(options.passes):
            work()

    plain = reads(x, threads)
    kcenter = turns({"ours": ours, FLAT: rival}, options.repeats)
    kcenter["times_faster"] = kcenter["median_s"][FLAT] * options.m / options.flat_m / kcenter["median_s"]["ours"]
    repeated = {name: partial(often, read) for name, read in plain.items()}
    maxsum = turns({"ours": summed, **repeated}, options.repeats)
    eq10 = turns({"faiss": partial(least, "faiss"), "numpy": partial(least, "numpy"), **plain}, options.repeats)
    pairs, excess, equal = measured_pairs(ours), farther(x, picks, threads), bool((least("faiss") == least("numpy")).all())
    if excess > ROUNDING or not equal:
        raise SystemExit(f"{len(x):,} candidates: not exact (a candidate is {excess:g} farther than the pick; Eq. 10 equal: {equal})")
    return {
        "kcenter": kcenter
        | {"farther_than_the_pick": excess, "same_first_picks_as_flat_float32": int((picks[: len(flat)] == flat).sum())}
        | {"share_of_distances": pairs / (len(x) * options.m), "peak_mib": peak_mib(ours)},
        "maxsum": maxsum | {"peak_mib": peak_mib(summed)},
        "eq10": eq10 | {"equal": equal, "peak_mib": peak_mib(lambda: least("faiss"))},
    }


def beside_fpsample(features: Matrix, options: Options) -> dict[str, Any]:
    """The first 3 and 8 dimensions, the most that its trees take, and all of them with its flat form."""
    fpsample = importlib.import_module("fpsample")
    count, m = options.rival
    found: dict[str, Any] = {}
    for dimensions in (3, 8, features.shape[1]):
        x = np.ascontiguousarray(features[:count, :dimensions])
        ours = partial(cover_kcenter_lazy, x, m, threads=options.threads)
        if dimensions <= 8:
            forms = {"ours": ours, "bucket_fps_kdline_sampling": partial(fpsample.bucket_fps_kdline_sampling, x, m, h=7, start_idx=0)}
        else:
            forms = {"ours": ours, "fps_sampling": partial(fpsample.fps_sampling, x, m, start_idx=0)}
        found[str(dimensions)] = turns(forms, options.repeats)
    return found


def measure(features: Matrix, options: Options) -> dict[str, Any]:
    """Everything, in one process."""
    features = features[np.random.default_rng(0).permutation(len(features))]
    count, m = options.many
    long = turns({"ours": lambda: cover_kcenter_lazy(features[:count], m, threads=options.threads)}, 1)
    found: dict[str, Any] = {"fpsample": beside_fpsample(features, options), "many picks": long}
    return found | {f"{count:,}": scale(enlarge(features, count), options) for count in options.counts}


def table(found: dict[str, Any], options: Options) -> None:
    """Print the ratios that matter."""
    for count in (f"{count:,}" for count in options.counts):
        kcenter, maxsum, eq10 = (found[count][part]["median_s"] for part in ("kcenter", "maxsum", "eq10"))
        print(f"{count} candidates, {options.threads} threads")
        print(f"  k-center    {kcenter['ours']:8.2f} s, {found[count]['kcenter']['times_faster']:.1f} times faster than flat passes")
        read = min(seconds for name, seconds in maxsum.items() if name.startswith("read"))
        print(f"  Algorithm 1 {maxsum['ours']:8.2f} s, {options.passes} reads {read:.2f} s: {maxsum['ours'] / read:.2f} times")
        read = min(seconds for name, seconds in eq10.items() if name.startswith("read"))
        for backend in ("faiss", "numpy"):
            print(f"  Eq. 10 {backend} {eq10[backend]:7.3f} s, a read {read:.3f} s: {eq10[backend] / read:.2f} times")
    for dimensions, figures in found["fpsample"].items():
        print(f"  {dimensions} dimensions, beside fpsample:", ", ".join(f"{name} {s:.2f} s" for name, s in figures["median_s"].items()))


def main(options: Options) -> None:
    """Measure in a process whose NumPy has one thread and write the figures."""
    sets = candidate_features(options.train, options.weights, options.snapshots, options.images)
    os.environ.update(ONE_THREAD)  # for the process to come, which reads it only once
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(measure, sets.reshape(-1, sets.shape[2]), options).result()
    setting = {**asdict(options), "train": options.train.name, "weights": options.weights.name, "snapshots": "benchmarks/snapshots.py"}
    RESULT.write_text(json.dumps({"provenance": provenance(), "options": setting, **found}, indent=1) + "\n")
    table(found, options)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
