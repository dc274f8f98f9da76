"""Exact k-center over millions of candidates, against flat passes over the matrix and beside fpsample.

    python benchmarks/rds_scale.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

Candidates are real decoder features, repeated with noise of 1 % of each dimension's deviation up to the
number asked for. Ours and the rival take turns on the same matrix and the same number of threads, NumPy's own
products on one. Picks are proved apart from any rival: a float64 pass over all candidates and picks finds at
each pick how much farther than the chosen candidate another one is. Writes benchmarks/results/rds_scale.json,
and a table of it to the terminal. Needs the rivals: `make .venv/compared`.
"""

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from candidate_features import CandidateOptions, candidate_features, enlarge
from flat_passes import farther, flat_kcenter
from machine import provenance
from numpy.typing import NDArray
from side_by_side import paired_ratio, peak_mib, turns, with_one_thread

from atal_ray.acquisition.cover import members as cover_members
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy

RESULT = Path(__file__).parent / "results" / "rds_scale.json"
MEASURES = (
    "atal_ray.acquisition.cover.blocks",
    "atal_ray.acquisition.cover.kcenter",
    "atal_ray.acquisition.cover.members",
    "atal_ray.acquisition.cover.distances",
    "atal_ray.acquisition.cover.products",
)
ROUNDING = 1e-9
"""Of the proof's float64 products, as a share of a squared distance."""
FLAT = "flat, flat_m picks"

Matrix = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Options(CandidateOptions):
    """What is measured."""

    m: int = 1_000
    flat_m: int = 200
    """Picks of the flat pass; every one takes the same time, so its seconds are those for m in proportion."""
    many: tuple[int, int] = (311_000, 105_000)
    """Candidates and picks of a long cover: what one budget for the 10,553 images of DUTS-TR asks for, with
    default settings.
    """
    rival: tuple[int, int] = (200_000, 1_000)
    """Candidates and picks beside fpsample."""


def measured_pairs(cover: Callable[[], object]) -> int:
    """Distances between a candidate and a pick that k-center computes."""
    pairs, closeness = 0, cover_members.Members.closeness

    def counted(members: cover_members.Members, points: Matrix, since: int) -> Matrix:
        nonlocal pairs
        pairs += len(points) * (members.count - since)
        return closeness(members, points, since)

    cover_members.Members.closeness = counted  # type: ignore[method-assign,assignment]
    try:
        cover()
    finally:
        cover_members.Members.closeness = closeness  # type: ignore[method-assign]
    return pairs


def scale(x: Matrix, options: Options) -> dict[str, Any]:
    """K-center over one number of candidates."""
    threads, picks, flat = options.threads, np.empty(0, np.int64), np.empty(0, np.int64)

    def ours() -> None:
        nonlocal picks
        picks = cover_kcenter_lazy(x, options.m, threads=threads)

    def rival() -> None:
        nonlocal flat
        flat = flat_kcenter(x, options.flat_m, threads)

    kcenter = turns({"ours": ours, FLAT: rival}, options.repeats)
    more = options.m / options.flat_m
    kcenter["flat_scaled_by"] = more
    kcenter["times_faster"] = paired_ratio(kcenter["repeats_s"], FLAT, "ours", scale=more)
    pairs, excess = measured_pairs(ours), farther(x, picks, threads)
    if excess > ROUNDING:
        raise SystemExit(f"{len(x):,} candidates: not exact, one is {excess:g} farther than the pick")
    same = int((picks[: len(flat)] == flat).sum())
    return kcenter | {
        "farther_than_the_pick": excess,
        "same_first_picks_as_flat_float32": same,
        "share_of_distances": pairs / (len(x) * options.m),
        "peak_mib": peak_mib(ours),
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
            forms = {
                "ours": ours,
                "bucket_fps_kdline_sampling": partial(
                    fpsample.bucket_fps_kdline_sampling, x, m, h=7, start_idx=0
                ),
            }
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
        figures = found[count]
        print(
            f"{count} candidates, {options.threads} threads: {figures['median_s']['ours']:.2f} s, "
            f"flat passes {figures['times_faster']:.1f} times as long, "
            f"their seconds counted {figures['flat_scaled_by']:g} times"
        )
    for dimensions, figures in found["fpsample"].items():
        print(
            f"{dimensions} dimensions, beside fpsample:",
            ", ".join(f"{name} {s:.2f} s" for name, s in figures["median_s"].items()),
        )


def main(options: Options) -> None:
    """Measure in a process whose NumPy has one thread and write the figures."""
    head = provenance(MEASURES, ("fpsample",))
    sets = candidate_features(options.train, options.weights, options.snapshots, options.images)
    found = with_one_thread(measure, sets.reshape(-1, sets.shape[2]), options)
    setting = {
        **asdict(options),
        "train": options.train.name,
        "weights": options.weights.name,
        "snapshots": "benchmarks/snapshots.py",
    }
    RESULT.write_text(json.dumps({"provenance": head, "options": setting, **found}, indent=1) + "\n")
    table(found, options)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
