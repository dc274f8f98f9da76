"""Algorithm 1 as printed and Eq. 10 over millions of candidates, against plain reads of their matrix.

    python benchmarks/rds_reads.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

Candidates as in rds_scale.py; for Eq. 10 as unit vectors, as the RDS actor holds them. Every pick of Algorithm 1 needs all
distances, and Eq. 10 needs every candidate once, so neither can be faster than that many reads. Forms and reads take turns on the same
matrix and the same number of threads. Writes benchmarks/results/rds_reads.json, and a table of it to the terminal.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tyro
from candidate_features import CandidateOptions, candidate_features, enlarge
from flat_passes import reads
from machine import provenance
from numpy.typing import NDArray
from side_by_side import peak_mib, turns, with_one_thread

from atal_ray.sampling.cover_scan import cover_maxsum_scan
from atal_ray.sampling.products import Backend
from atal_ray.sampling.similarity import least_similar, similarity

RESULT = Path(__file__).parent / "results" / "rds_reads.json"


@dataclass(frozen=True, kw_only=True)
class Options(CandidateOptions):
    """What is measured."""

    passes: int = 100
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

    def summed(backend: Backend) -> NDArray[np.int64]:
        return cover_maxsum_scan(x, options.passes, threads=options.threads, backend=backend)

    def least(backend: Backend) -> NDArray[np.int64]:
        return least_similar(x, labelled, options.least, "mean", backend, threads=options.threads)

    def often(work: Callable[[], object]) -> None:
        for _ in range(options.passes):
            work()

    def both(form: Callable[[Backend], NDArray[np.int64]]) -> dict[str, Callable[[], NDArray[np.int64]]]:
        return {backend: partial(form, backend) for backend in get_args(Backend)}

    maxsum = turns({**both(summed), **{name: partial(often, read) for name, read in plain.items()}}, options.repeats)
    x /= np.maximum(np.sqrt(np.vecdot(x, x)), np.float32(1e-12))[:, None]
    expected = np.argsort(similarity(x, labelled, "mean", threads=options.threads), kind="stable")[: options.least]
    if not all(np.array_equal(form(), expected) for form in both(least).values()):
        raise SystemExit(f"{len(x):,} candidates: other candidates than those with the least of all float64 values")
    eq10 = turns({**both(least), **plain}, options.repeats)
    for found, form in ((maxsum, summed), (eq10, least)):
        found["peak_mib"] = max(peak_mib(work) for work in both(form).values())
        seconds = found["median_s"]
        once = min(seconds[name] for name in plain)
        found["times_a_read"] = {name: spent / once for name, spent in seconds.items() if name not in plain}
    return {"maxsum": maxsum, "eq10": eq10}


def times(ratios: dict[str, float]) -> str:
    """The ratios of both back ends."""
    return f"{ratios['faiss']:.2f} (faiss) and {ratios['numpy']:.2f} (NumPy)"


def main(options: Options) -> None:
    """Measure in a process whose NumPy has one thread and write the figures."""
    sets = candidate_features(options.train, options.weights, options.snapshots, options.images)
    found = with_one_thread(measure, sets.reshape(-1, sets.shape[2]), options)
    setting = {**asdict(options), "train": options.train.name, "weights": options.weights.name, "snapshots": "benchmarks/snapshots.py"}
    RESULT.write_text(json.dumps({"provenance": provenance(), "options": setting, **found}, indent=1) + "\n")
    for count in (f"{count:,}" for count in options.counts):
        ratios = {part: found[count][part]["times_a_read"] for part in ("maxsum", "eq10")}
        print(f"{count} candidates: Algorithm 1 takes {times(ratios['maxsum'])} times as many reads as picks")
        print(f"{count} candidates: Eq. 10 takes {times(ratios['eq10'])} reads")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
