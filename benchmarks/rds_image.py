"""Images a second of RDS on one image's candidate set, against Algorithm 1 in the naive form.

    python benchmarks/rds_image.py --train /path/to/DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

3,700 candidates of 64 dimensions an image, real decoder features as unit vectors (float64, as the query has
them), |V| = 20, one thread. The naive form measures the distances to all of V again at every pick and takes
the largest sum. Cover and choice are in the time, features are not. The forms take turns on every image, and
each cover must equal that of the flat float64 form. Writes benchmarks/results/rds_image.json, and a table of
it to the terminal.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from candidate_features import candidate_features
from machine import provenance
from numpy.typing import NDArray
from side_by_side import paired_ratio, with_one_thread

from atal_ray.acquisition.rds import cover_kcenter, cover_maxsum, mean_similarity, select, unit_vectors

RESULT = Path(__file__).parent / "results" / "rds_image.json"
MEASURES = ("atal_ray.acquisition.rds",)

Positions = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots give the features; made if it is not there."""
    images: int = 40
    m: int = 20
    k: int = 2
    labelled: int = 10
    """Labelled points of an image, its last candidates."""
    repeats: int = 5


def naive_maxsum(positions: Positions, m: int) -> NDArray[np.int64]:
    """Algorithm 1 with the sum over all of V anew at every pick."""
    chosen = [0]
    while len(chosen) < m:
        total = np.zeros(len(positions))
        for pick in chosen:
            total += np.sqrt(((positions - positions[pick]) ** 2).sum(axis=1))
        total[chosen] = -np.inf
        chosen.append(int(total.argmax()))
    return np.array(chosen)


def measure(sets: NDArray[np.float32], options: Options) -> dict[str, Any]:
    """Median images a second of each form, and how many covers are equal to the flat one's."""

    def flat(cover: Callable[[Positions, int], NDArray[np.int64]]) -> Callable[..., NDArray[np.int64]]:
        def work(
            positions: Positions, features: NDArray[np.float32], labelled: NDArray[np.float32]
        ) -> NDArray[np.int64]:
            chosen = np.sort(cover(positions, options.m))
            return chosen[np.argsort(mean_similarity(features[chosen], labelled), kind="stable")]

        return work

    forms: dict[str, Callable[..., NDArray[np.int64]]] = {
        "naive, maxsum": flat(naive_maxsum),
        "flat float64, maxsum": flat(cover_maxsum),
        "ours, maxsum": lambda p, f, y: select(p, f.__getitem__, y, options.m, options.m, "maxsum"),
        "flat float64, kcenter": flat(cover_kcenter),
        "ours, kcenter": lambda p, f, y: select(p, f.__getitem__, y, options.m, options.m, "kcenter"),
        "ours, kcenter, nearest": lambda p, f, y: select(
            p, f.__getitem__, y, options.m, options.m, "kcenter", "nearest"
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    equal = {"maxsum": 0, "kcenter": 0}
    for repeat in range(options.repeats + 1):
        spent = dict.fromkeys(forms, 0.0)
        for features in sets:
            positions, picks = unit_vectors(features), {}
            for name, form in forms.items():
                start = time.perf_counter()
                picks[name] = form(positions, features, features[-options.labelled :])
                spent[name] += time.perf_counter() - start
            for cover in equal:
                equal[cover] += repeat == 0 and np.array_equal(
                    picks[f"ours, {cover}"], picks[f"flat float64, {cover}"]
                )
        if repeat:  # the first warms up
            for name, value in spent.items():
                seconds[name].append(value)
    if set(equal.values()) != {len(sets)}:
        raise SystemExit(f"other covers than the flat form's: of {len(sets)} images, equal on {equal}")
    rates = {name: len(sets) / statistics.median(values) for name, values in seconds.items()}
    faster = {
        f"ours, {cover}": {
            rival: paired_ratio(seconds, rival, f"ours, {cover}")
            for rival in ("naive, maxsum", f"flat float64, {cover}")
        }
        for cover in equal
    }
    return {
        "images_per_s": rates,
        "times_as_fast": faster,
        "repeats_s": seconds,
        "images_of_equal_picks": equal,
    }


def main(options: Options) -> None:
    """Measure in a process of one thread and write the figures."""
    head = provenance(MEASURES)
    sets = candidate_features(options.train, options.weights, options.snapshots, options.images)
    found = with_one_thread(measure, sets, options)
    setting = {
        **asdict(options),
        "train": options.train.name,
        "weights": options.weights.name,
        "snapshots": "benchmarks/snapshots.py",
    }
    shape = {"candidates": sets.shape[1], "dimensions": sets.shape[2], "threads": 1}
    RESULT.write_text(
        json.dumps({"provenance": head, "options": {**setting, **shape}, **found}, indent=1) + "\n"
    )
    for name, rate in found["images_per_s"].items():
        faster = found["times_as_fast"].get(name, {}).items()
        print(f"{name:24} {rate:8.1f} images/s", *(f" {times:.1f} times {rival}" for rival, times in faster))
    print(f"equal picks on {found['images_of_equal_picks']} of {len(sets)} images")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
