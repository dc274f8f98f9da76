"""Algorithm 1 as printed and Eq. 10 over millions of candidates, against plain reads of their matrix.

    python benchmarks/rds_reads.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

Candidates as in rds_scale.py; for Eq. 10 as unit vectors, as the RDS actor holds them. Every pick of
Algorithm 1 needs all distances, and Eq. 10 needs every candidate once, so neither can be faster than that
many reads. Forms and reads take turns on the same matrix and the same number of threads, a pick or a search
at a time, since the rate of the memory wanders within seconds. Writes benchmarks/results/rds_reads.json, and
a table of it to the terminal.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Iterator
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
from side_by_side import paired_ratio, peak_mib, turns, with_one_thread

from atal_ray.acquisition.cover.maxsum import Sums
from atal_ray.acquisition.dataset_budget.least_similar import least_similar
from atal_ray.acquisition.dataset_budget.similarity import similarity
from atal_ray.config.resources import Index

BACKENDS: tuple[Index, ...] = get_args(Index)
RESULT = Path(__file__).parent / "results" / "rds_reads.json"
MEASURES = (
    "atal_ray.acquisition.cover.blocks",
    "atal_ray.acquisition.cover.maxsum",
    "atal_ray.acquisition.dataset_budget.least_similar",
    "atal_ray.acquisition.cover.products",
    "atal_ray.acquisition.dataset_budget.similarity",
)


@dataclass(frozen=True, kw_only=True)
class Options(CandidateOptions):
    """What is measured."""

    picks: int = 100
    """Of Algorithm 1."""
    searches: int = 25
    """Turns of Eq. 10."""
    least: int = 1_000
    """Candidates asked of Eq. 10."""
    labelled: int = 1_000


def measure(features: NDArray[np.float32], options: Options) -> dict[str, Any]:
    """Everything, in one process."""
    features = features[np.random.default_rng(0).permutation(len(features))]
    return {f"{count:,}": of_count(enlarge(features, count), options) for count in options.counts}


def of_count(x: NDArray[np.float32], options: Options) -> dict[str, Any]:
    """Seconds and ratios over one number of candidates."""
    plain = reads(x, options.threads)
    maxsum = sums_of(
        turns({**{name: partial(next, picks(x, name, options)) for name in BACKENDS}, **plain}, options.picks)
        for _ in range(options.repeats)
    )
    labelled = x[:: len(x) // options.labelled].copy()
    x /= np.maximum(np.sqrt(np.vecdot(x, x)), np.float32(1e-12))[:, None]
    forms: dict[str, Callable[[], NDArray[np.int64]]] = {
        name: partial(least_similar, x, labelled, options.least, "mean", name, threads=options.threads)
        for name in BACKENDS
    }
    expected = np.argsort(similarity(x, labelled, "mean", threads=options.threads), kind="stable")[
        : options.least
    ]
    if not all(np.array_equal(form(), expected) for form in forms.values()):
        raise SystemExit(
            f"{len(x):,} candidates: other candidates than those with the least of all float64 values"
        )
    eq10 = turns({**forms, **plain}, options.searches)
    eq10["peak_mib"] = max(peak_mib(form) for form in forms.values())
    for found in (maxsum, eq10):
        fastest = min(plain, key=lambda name: found["median_s"][name])
        found["times_a_read"] = {name: paired_ratio(found["repeats_s"], name, fastest) for name in BACKENDS}
    return {"maxsum": maxsum, "eq10": eq10}


def picks(x: NDArray[np.float32], backend: Index, options: Options) -> Iterator[int]:
    """The candidates that Algorithm 1 picks, one after the other; what it prepares is part of the first."""
    sums = Sums(x, options.picks, options.threads, backend)
    blocks = sums.add(0)
    while True:
        yield sums.indices[-1]
        blocks = sums.add(sums.largest(blocks))


def sums_of(covers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The seconds of whole covers out of those of their picks; the medians."""
    repeats = [{name: sum(seconds) for name, seconds in cover["repeats_s"].items()} for cover in covers]
    together = {name: [repeat[name] for repeat in repeats] for name in repeats[0]}
    return {
        "median_s": {name: statistics.median(seconds) for name, seconds in together.items()},
        "repeats_s": together,
    }


def times(ratios: dict[str, float]) -> str:
    """The ratios of both back ends."""
    return f"{ratios['faiss']:.2f} (faiss) and {ratios['numpy']:.2f} (NumPy)"


def main(options: Options) -> None:
    """Measure in a process whose NumPy has one thread and write the figures."""
    head = provenance(MEASURES)
    sets = candidate_features(options.train, options.weights, options.snapshots, options.images)
    found = with_one_thread(measure, sets.reshape(-1, sets.shape[2]), options)
    setting = {
        **asdict(options),
        "train": options.train.name,
        "weights": options.weights.name,
        "snapshots": "benchmarks/snapshots.py",
    }
    RESULT.write_text(json.dumps({"provenance": head, "options": setting, **found}, indent=1) + "\n")
    for count in (f"{count:,}" for count in options.counts):
        ratios = {part: found[count][part]["times_a_read"] for part in ("maxsum", "eq10")}
        print(f"{count} candidates: Algorithm 1 takes {times(ratios['maxsum'])} times as many reads as picks")
        print(f"{count} candidates: Eq. 10 takes {times(ratios['eq10'])} reads")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
