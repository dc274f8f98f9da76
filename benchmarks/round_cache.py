"""How much memory a training takes for its images: more of them than the cache holds must not take more.

    python benchmarks/round_cache.py --train /path/to/DUTS-TR --folder /tmp/round-cache

For each number of images, a fresh process loads two epochs of batches as the training does, without a
network: real images, each as often as it takes to make up the number, with superpixels and six points each.
What the cache does not hold lies in a temporary file. Writes benchmarks/results/round_cache.json: the peak of
the process's private memory above what it was before the first batch, beside `resources.cache-mib`.
"""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import tyro
from gpu_parts.made import clicked
from machine import provenance

RESULT = Path(__file__).parent / "results" / "round_cache.json"
MEASURES = ("atal_ray.training.round_cache", "atal_ray.training.loader", "atal_ray.training.samples")
KINDS = 200
"""Different images."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR."""
    folder: Path
    """Where superpixels are kept."""
    sizes: tuple[int, ...] = (1_000, 10_000)
    cache_mib: int = 256
    threads: int = 1
    epochs: int = 2
    only: int = 0
    """Measure one number of images, in this process."""


def private_mib() -> float:
    """Memory of this process that no other shares."""
    return float(psutil.Process().memory_full_info().uss) / 2**20


def measure(options: Options) -> dict[str, Any]:
    """Load the batches of two epochs, and watch the memory."""
    import torch

    from atal_ray.config import presets
    from atal_ray.data.manifest import build_manifest
    from atal_ray.data.record import records
    from atal_ray.labels.points import POINT_SCHEMA, PointIndex
    from atal_ray.labels.superpixel_cache import SuperpixelCache
    from atal_ray.store.folder import Folder
    from atal_ray.training.loader import Loader
    from atal_ray.training.samples import Samples, batches

    base = presets.paper()
    config = dataclasses.replace(
        base, resources=dataclasses.replace(base.resources, cache_mib=options.cache_mib)
    )
    kinds = build_manifest(options.train, limit=KINDS, verify=False).table
    points = pa.Table.from_pylist(
        [row for record in records(kinds, str(options.train)) for row in clicked(record)], POINT_SCHEMA
    )
    superpixels = SuperpixelCache(Folder(str(options.folder / "superpixels")), config.regions)
    manifest = kinds.take([number % KINDS for number in range(options.only)])
    samples = Samples(manifest, PointIndex(points), superpixels, str(options.train), config, 0)
    before, peak, seconds = private_mib(), 0.0, []
    with Loader(samples, torch.device("cpu"), options.threads) as loader:
        for epoch in range(options.epochs):
            began = time.perf_counter()
            for number, _ in enumerate(loader.batches(list(batches(len(samples), config, 0, epoch)))):
                if number % 8 == 0:
                    peak = max(peak, private_mib())
            seconds.append(time.perf_counter() - began)
    return {
        "images": options.only,
        "before_mib": round(before, 1),
        "peak_above_mib": round(peak - before, 1),
        "decoded_mib": round(4 * pc.sum(pc.multiply(manifest["height"], manifest["width"])).as_py() / 2**20),
        "epoch_seconds": [round(spent, 1) for spent in seconds],
    }


def main(options: Options) -> None:
    """Measure each number of images in a process of its own."""
    if options.only:
        print(json.dumps(measure(options)))
        return
    head = provenance(MEASURES)
    found = []
    for size in options.sizes:
        done = subprocess.run(
            [sys.executable, *sys.argv, "--only", str(size)], capture_output=True, text=True, check=True
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(found[-1], flush=True)
    result = {"provenance": head, "cache_mib": options.cache_mib, "kinds": KINDS, "sizes": found}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
