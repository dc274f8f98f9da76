"""Milliseconds an image of all our metrics, against MAE, S, E, F and weighted F of PySODMetrics on the same
arrays.

    make bench-metrics DATA=/path/to/ECSSD

Real masks, resized, beside maps drawn from them; decoding is not in it. One thread: each size has a process
of its own, where the environment holds OpenMP and OpenBLAS to one thread from the start and OpenCV is told
so. The two take turns image by image, so that a busy machine slows both. Writes
benchmarks/results/metrics_speed.json, and a table of it to the terminal.
"""

import importlib.metadata
import json
import os
import statistics
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import tyro
from machine import provenance
from numpy.typing import NDArray

from atal_ray.data.images import read_mask
from atal_ray.evaluation.mask_folder import find_masks
from atal_ray.metrics import scores, weighted

RESULT = Path(__file__).parent / "results" / "metrics_speed.json"
MEASURES = ("atal_ray.metrics",)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
STAGES = {
    "histogram": (scores, "tally"),
    "distance transform": (weighted, "squared_distances"),
    "weighted F": (scores, "weighted_f_of"),
    "S": (scores, "s_measure_of"),
}

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    data: Path
    """A data set with masks, such as ECSSD."""
    pairs: int = 60
    sizes: tuple[tuple[int, int], ...] = ((352, 352), (300, 400))
    """Height and width."""
    repeats: int = 5


def measure(height: int, width: int, options: Options) -> dict[str, Any]:
    """Medians over the repeats: milliseconds an image of both, how many times faster we are, and where our
    time goes.
    """
    import py_sod_metrics as reference

    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", message="This class will be removed")
    kinds = (
        reference.MAE,
        reference.Smeasure,
        reference.Emeasure,
        reference.Fmeasure,
        reference.WeightedFmeasure,
    )
    theirs = [kind() for kind in kinds]
    pairs = [draw(path, i, height, width) for i, path in enumerate(evenly(options))]
    run(pairs[:4], theirs)  # the first images plan and fill caches
    wall, cpu = time.perf_counter(), time.process_time()
    found = [run(pairs, theirs) for _ in range(options.repeats)]
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    ratios = [repeat["theirs"] / repeat["ours"] for repeat in found]
    medians = {part: statistics.median(repeat[part] for repeat in found) for part in found[0]}
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "ms": medians,
        "cpu_seconds_a_second": cpu_share,
    }


def evenly(options: Options) -> list[Path]:
    """As many masks as asked for, from the whole of the set."""
    paths = list(find_masks(options.data).masks.values())
    return [paths[i * len(paths) // options.pairs] for i in range(options.pairs)]


def draw(path: Path, index: int, height: int, width: int) -> Pair:
    """One of four kinds of maps in turn, and the mask 0 and 255 that it is drawn from, both uint8 [H, W]."""
    rng = np.random.default_rng(index)
    mask = cv2.resize(read_mask(path), (width, height), interpolation=cv2.INTER_NEAREST)
    soft = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), 6)
    match index % 4:
        case 1:  # noisy
            clouds = cv2.GaussianBlur(rng.random(mask.shape), (0, 0), 12)
            soft = (
                0.5 * soft
                + 0.5 * (clouds - clouds.min()) / np.ptp(clouds)
                + 0.05 * rng.standard_normal(mask.shape)
            )
        case 2:  # displaced, and faint with few levels
            soft = np.round(5 * np.roll(soft, (height // 8, width // 6), axis=(0, 1))) * 7 / 255
        case 3:  # a centre prior
            rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
            soft = np.exp(-3 * (rows**2 + columns**2))
    return np.rint(soft.clip(0, 1) * 255).astype(np.uint8), mask * np.uint8(255)


def run(pairs: Sequence[Pair], theirs: Sequence[Any]) -> dict[str, float]:
    """Milliseconds an image of both, and of our stages, whose sum is ours."""
    spent: defaultdict[str, float] = defaultdict(float)
    with ExitStack() as patches:
        for stage, (module, name) in STAGES.items():
            patches.enter_context(patch.object(module, name, noted(stage, getattr(module, name), spent)))
        ours = noted("ours", lambda saliency, mask: scores.score(saliency, mask > 128), spent)
        others = noted(
            "theirs", lambda saliency, mask: [metric.step(saliency, mask) for metric in theirs], spent
        )
        for saliency, mask in pairs:
            ours(saliency, mask)
            others(saliency, mask)
    spent["curves and scalars"] = spent["ours"] - spent["histogram"] - spent["weighted F"] - spent["S"]
    spent["rest of weighted F"] = spent.pop("weighted F") - spent["distance transform"]
    return {part: seconds / len(pairs) * 1000 for part, seconds in spent.items()}


def noted(part: str, function: Callable[..., Any], spent: defaultdict[str, float]) -> Callable[..., Any]:
    """The function, which also adds its seconds to those of a part."""

    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        result = function(*args)
        spent[part] += time.perf_counter() - start
        return result

    return timed


def main(options: Options) -> None:
    """Measure at every size and write the figures."""
    head = provenance(MEASURES, ("pysodmetrics", "scipy"))
    os.environ.update(ONE_THREAD)  # for the processes to come, which read it only once
    found: dict[str, dict[str, Any]] = {}
    for height, width in options.sizes:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            figures = pool.submit(measure, height, width, options).result()
        found[f"{height}x{width}"] = figures
        print(f"{height}x{width}: {figures['ratio']:.2f} times faster, ms an image:")
        print(
            "".join(
                f"  {part:20} {ms:7.2f}\n"
                for part, ms in sorted(figures["ms"].items(), key=lambda item: -item[1])
            ),
            flush=True,
        )
    versions = {name: importlib.metadata.version(name) for name in ("pysodmetrics", "scipy")}
    options_used = {**asdict(options), "data": options.data.name}
    result = {
        "provenance": head,
        "compared": versions,
        "options": options_used,
        "threads": 1,
        "sizes": found,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
