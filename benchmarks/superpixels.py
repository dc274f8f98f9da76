"""Which superpixels are as good as SEEDS by default, at a quarter of its cost?

    python benchmarks/superpixels.py --data DUTS-TR --held-out held_out.txt

Each image is cut in every way of `superpixel_variants.py`, in an order that is drawn anew for each, with one
thread; decoding is not in it. Measured against the masks (`superpixel_measures.py`): boundary recall within
2 px, achievable segmentation accuracy (ASA), and the share of the labelled area that clicks get wrong when
each labels its whole superpixel: of a few random clicks an image, on average over a click on every pixel
(the same without chance), and over one on every pixel near the border of an object, where a query asks most.

A measure is equal within 1 % if its mean is at most 1 % of the default's mean worse than that, and surely so
if that holds two standard errors of the paired difference below it. Writes
benchmarks/results/superpixels.json, and a table of it to the terminal.
"""

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from machine import provenance
from numpy.typing import NDArray
from side_by_side import paired_ratio
from superpixel_measures import (
    TOLERANCE,
    Ids,
    Mask,
    achievable_accuracy,
    border,
    boundary_recall,
    clicked_wrong_share,
    connected_parts,
    within,
    wrong_share,
)
from superpixel_variants import DEFAULT, HAS_SCIKIT_IMAGE, VARIANTS, Image
from tqdm import tqdm

from atal_ray import seeding
from atal_ray.data.images import read_image, read_mask
from atal_ray.data.layout import find_pairs

RESULT = Path(__file__).parent / "results" / "superpixels.json"
MEASURES = ("atal_ray.labels.regions", "atal_ray.labels.superpixels")
HIGHER = ("boundary_recall", "asa")
LOWER = ("wrong_share", "wrong_share_clicked", "wrong_share_near")
DECIDING = ("boundary_recall", "asa", "wrong_share")
EQUAL = 0.01
CHEAP = 0.25


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    data: Path
    """DUTS-TR or another folder of images and masks."""
    held_out: Path | None = None
    """File with the ids of the images that are measured, one a line; unset: all."""
    images: int | None = None
    """Only so many, evenly from all."""
    clicks: int = 5
    """Random clicks of an image."""
    near: int = 10
    """Pixels from the border of an object within which a click is near it."""
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """An image, its mask, and clicks."""

    image: Image
    mask: Mask
    xy: NDArray[np.int64]


def examples(options: Options) -> tuple[int, Iterator[Example]]:
    """How many, and the images one by one."""
    listing = find_pairs(options.data)
    ids = options.held_out.read_text().split() if options.held_out else sorted(listing.images)
    if options.images is not None:
        ids = [ids[at] for at in np.linspace(0, len(ids) - 1, options.images).round().astype(int)]

    def read() -> Iterator[Example]:
        for name in ids:
            image, mask = read_image(listing.images[name]), read_mask(listing.masks[name]) > 0
            rng = seeding.rng(options.seed, "superpixels, clicks", name)
            xy = rng.integers(0, mask.shape[::-1], (options.clicks, 2))
            yield Example(image, mask, xy)

    return len(ids), read()


def quality(ids: Ids, example: Example, near: int) -> dict[str, float]:
    """Every measure of one map."""
    mask, parts = example.mask, connected_parts(ids)
    return {
        "boundary_recall": boundary_recall(ids, mask),
        "asa": achievable_accuracy(ids, mask),
        "wrong_share": wrong_share(parts, mask, np.ones_like(mask)),
        "wrong_share_clicked": clicked_wrong_share(ids, mask, example.xy),
        "wrong_share_near": wrong_share(parts, mask, within(border(mask), near)),
        "border_share": float(border(ids).mean()),
        "superpixels": float(np.count_nonzero(np.bincount(ids.ravel()))),
        "parts": float(parts.max() + 1),
    }


def measure(options: Options) -> tuple[dict[str, list[float]], dict[str, list[dict[str, float]]]]:
    """Seconds and measures of every variant, image by image."""
    names = list(VARIANTS)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    rng = seeding.rng(options.seed, "superpixels, order")
    count, read = examples(options)
    for example in tqdm(read, total=count):
        for at in rng.permutation(len(names)):
            start = time.perf_counter()
            ids = VARIANTS[names[at]](example.image)
            seconds[names[at]].append(time.perf_counter() - start)
            found[names[at]].append(quality(ids, example, options.near))
    return seconds, found


def compared(values: NDArray[np.float64], default: NDArray[np.float64], worse: int) -> dict[str, Any]:
    """A measure beside the default's.

    Args:
        values: of the images.
        default: by default.
        worse: 1 where a higher value is worse, -1 where a lower one is.
    """
    difference, allowed = values - default, EQUAL * float(default.mean())
    error = float(difference.std(ddof=1)) / len(difference) ** 0.5
    loss = worse * float(difference.mean())
    return {
        "mean": float(values.mean()),
        "difference": float(difference.mean()),
        "standard_error": error,
        "equal": loss <= allowed,
        "surely_equal": loss + 2 * error <= allowed,
    }


def summary(name: str, seconds: dict[str, list[float]], found: dict[str, list[dict[str, float]]]) -> Any:
    """The row of one variant."""
    row: dict[str, Any] = {
        "variant": name,
        "cost": sum(seconds[name]) / sum(seconds[DEFAULT]),
        "cost_median": paired_ratio(seconds, name, DEFAULT),
        "ms_per_image": 1000 * statistics.mean(seconds[name]),
    }
    for key in found[name][0]:
        values, default = (np.array([one[key] for one in found[of]]) for of in (name, DEFAULT))
        measured = key in HIGHER + LOWER
        row[key] = compared(values, default, 1 if key in LOWER else -1) if measured else float(values.mean())
    row["equal"] = all(row[key]["equal"] for key in DECIDING)
    row["surely_equal"] = all(row[key]["surely_equal"] for key in DECIDING)
    row["a_quarter"] = max(row["cost"], row["cost_median"]) <= CHEAP
    return row


def main(options: Options) -> None:
    """Measure every variant on every image, and write the means."""
    head = provenance(MEASURES, rivals=("scikit-image",) if HAS_SCIKIT_IMAGE else ())
    cv2.setNumThreads(1)
    seconds, found = measure(options)
    setting = {"clicks": options.clicks, "near": options.near, "seed": options.seed, "tolerance": TOLERANCE}
    rows = [summary(name, seconds, found) for name in VARIANTS]
    result = {"provenance": head, "data": options.data.name, "images": len(seconds[DEFAULT]), **setting}
    RESULT.write_text(json.dumps({**result, "rows": rows}, indent=1) + "\n")
    for row in rows:
        show(row)


def show(row: dict[str, Any]) -> None:
    """Print one row; a star is a measure that is not equal within 1 %."""
    measures = [
        f"{row[key]['mean']:.4f} +-{row[key]['standard_error']:.4f}{' ' if row[key]['equal'] else '*'}"
        for key in HIGHER + LOWER
    ]
    verdict = ("equal" if row["equal"] else "") + (" surely" if row["surely_equal"] else "")
    print(
        f"{row['variant']:48} {row['cost']:.3f} {row['cost_median']:.3f}",
        *measures,
        f"{row['border_share']:.3f} {row['superpixels']:.0f} {row['parts']:.0f}",
        verdict,
        "a quarter" if row["a_quarter"] else "",
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
