"""Algorithm 1 as printed and Eq. 10 over millions of candidates, against plain reads of their matrix.

    python benchmarks/rds_reads.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

Candidates as in rds_scale.py; for Eq. 10 also as unit vectors, as the RDS actor holds them. Every pick of Algorithm 1 needs all
distances, and Eq. 10 needs every candidate once, so neither can be faster than that many reads. Forms and reads take turns on the same
matrix and the same number of threads. Writes benchmarks/results/rds_reads.json, and a table of it to the terminal.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from candidate_features import CandidateOptions, candidate_features, enlarge
from flat_passes import reads
from machine import provenance
from numpy.typing import NDArray
from side_by_side import peak_mib, turns, with_one_thread

from atal_ray.sampling.cover_scan import cover_maxsum_scan
from atal_ray.sampling.similarity import least_similar

RESULT = Path(__file__).parent / "results" / "rds_reads.json"


@dataclass(frozen=True, kw_only=True)
class Options(CandidateOptions):
    """What is measured."""

    passes: int = 20
    """Picks of Algorithm 1."""
    least: int = 1_000
    """Candidates asked of Eq. 10."""
    labelled: int = 1_000


def measure(features: NDArray[np.float32], options: Options) -> dict[str, Any]:
    """Everything, in one process."""
    features = features[np.random.default_rng(0).permutation(len(features))]
    return {f"{count:,}": of_count(enlarge(features, count), options) for count in options.counts}


def of_count(x: NDArray[np.float32], options: Options) -> dict[str, Any]:
    """Seconds and ratios over one number of candidates."""
    labelled, plain = x[:: len(x) // options.labelled].copy(), reads(x, options.threads)

    def summed() -> NDArray[np.int64]:
        return cover_maxsum_scan(x, options.passes, threads=options.threads)

    def least(backend: Any, unit: bool = False) -> NDArray[np.int64]:
        return least_similar(x, labelled, options.least, "mean", backend, threads=options.threads, unit=unit)

    def often(work: Callable[[], object]) -> None:
        for _ in range(options.passes):
            work()

    if not np.array_equal(least("faiss"), least("numpy")):
        raise SystemExit(f"{len(x):,} candidates: Eq. 10 gives other candidates with faiss than with NumPy")
    maxsum = turns({"ours": summed, **{name: partial(often, read) for name, read in plain.items()}}, options.repeats)
    eq10 = turns({"faiss": partial(least, "faiss"), "numpy": partial(least, "numpy"), **plain}, options.repeats)
    peaks = {"maxsum": peak_mib(summed), "eq10": peak_mib(partial(least, "faiss"))}
    x /= np.maximum(np.sqrt(np.vecdot(x, x)), np.float32(1e-12))[:, None]  # as they come to the RDS actor
    if not np.array_equal(least("numpy"), least("numpy", unit=True)):
        raise SystemExit(f"{len(x):,} candidates: Eq. 10 gives other candidates where it skips the lengths of unit vectors")
    unit = turns({"ours": partial(least, "numpy", unit=True), **plain}, options.repeats)
    peaks["eq10_unit"] = peak_mib(partial(least, "numpy", unit=True))
    parts = {"maxsum": maxsum, "eq10": eq10, "eq10_unit": unit}
    for found in parts.values():
        seconds = found["median_s"]
        once = min(seconds[name] for name in plain)
        found["times_a_read"] = {name: spent / once for name, spent in seconds.items() if name not in plain}
    return {part: found | {"peak_mib": peaks[part]} for part, found in parts.items()}


def main(options: Options) -> None:
    """Measure in a process whose NumPy has one thread and write the figures."""
    sets = candidate_features(options.train, options.weights, options.snapshots, options.images)
    found = with_one_thread(measure, sets.reshape(-1, sets.shape[2]), options)
    setting = {**asdict(options), "train": options.train.name, "weights": options.weights.name, "snapshots": "benchmarks/snapshots.py"}
    RESULT.write_text(json.dumps({"provenance": provenance(), "options": setting, **found}, indent=1) + "\n")
    for count in (f"{count:,}" for count in options.counts):
        ratios = {part: found[count][part]["times_a_read"] for part in ("maxsum", "eq10", "eq10_unit")}
        print(f"{count} candidates: Algorithm 1 takes {ratios['maxsum']['ours']:.2f} times as many reads as picks")
        print(f"{count} candidates: Eq. 10 takes {ratios['eq10']['faiss']:.2f} (faiss) and {ratios['eq10']['numpy']:.2f} (NumPy) reads")
        print(f"{count} candidates: Eq. 10 takes {ratios['eq10_unit']['ours']:.2f} reads of unit vectors")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
