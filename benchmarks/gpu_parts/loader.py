"""The loader alone: what a sample costs on one core, before and now, and images a second by all threads."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from atal_ray.data.images import read_image
from atal_ray.labels.geometry import Geometry
from atal_ray.labels.regions import region_labels
from atal_ray.runtime.capacity import cores
from atal_ray.training.loader import Loader, threads_for
from atal_ray.training.raw_batch import RawBatch
from atal_ray.training.samples import Draw, Samples, batches
from gpu_parts.made import made, samples_of
from gpu_parts.setup import Note, Setup, wait


def loader(setup: Setup, note: Note) -> None:
    """Milliseconds a sample on one core; images a second by threads, on the device, without a step."""
    campaign, config = made(setup)
    count = 4 if setup.small else 200
    ways: dict[str, Callable[[Samples, list[Draw]], object]] = {
        "read, decode and colour in every epoch (as before)": lambda samples, draws: [
            before(samples, draw) for draw in draws
        ],
        "squares drawn on the CPU": lambda samples, draws: [samples.square(draw) for draw in draws],
        "raw, packed for the device": lambda samples, draws: RawBatch.pack(
            [samples.raw(draw) for draw in draws], draws[0].size
        ),
    }
    for name, way in ways.items():
        note(f"a sample on one core: {name}", cost(way, samples_of(campaign, config), setup, count))
    memory = dataclasses.replace(config, resources=dataclasses.replace(config.resources, cache_mib=0))
    note(
        "a sample on one core: squares, from the temporary file",
        cost(ways["squares drawn on the CPU"], samples_of(campaign, memory), setup, count),
    )
    for threads in sorted({1, 4, threads_for(None, cores=cores(), busy=1, workers=1)}):
        note(
            f"{threads} threads to {setup.device.type}",
            throughput(samples_of(campaign, config), setup, threads),
        )


def before(samples: Samples, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """A sample as it was loaded in every epoch until decoded images were kept."""
    record = samples.record(draw.index)
    image, random = read_image(record.image), samples._random(draw, record)
    geometry = Geometry.random(record.height, record.width, draw.size, random)
    xy, labels = samples.points.of(record.image_id)
    superpixels = samples.superpixels.get(record, image)
    regions = region_labels(superpixels, xy, labels, (record.height, record.width), "propagate")
    rows, columns = geometry.source()
    target = regions[np.ix_(rows, columns)]
    placed, inside = geometry.to_target(xy)
    target[placed[inside, 1], placed[inside, 0]] = labels[inside]
    return geometry.image(image).transpose(2, 0, 1).copy(), target


def cost(
    way: Callable[[Samples, list[Draw]], object], samples: Samples, setup: Setup, count: int
) -> dict[str, Any]:
    """Milliseconds a sample in the first epoch and, median of three, in later ones."""
    count, each = min(count, len(samples)), []
    for epoch in range(4):
        start = time.perf_counter()
        for first in range(0, count, setup.batch):
            way(
                samples,
                [Draw(index, epoch, setup.side) for index in range(first, min(first + setup.batch, count))],
            )
        each.append(1000 * (time.perf_counter() - start) / count)
    return {"first_epoch_ms": each[0], "later_ms": sorted(each[1:])[1], "images": count}


def throughput(samples: Samples, setup: Setup, threads: int) -> dict[str, Any]:
    """Images a second of the first epoch and of the third."""
    seconds = []
    with Loader(samples, setup.device, threads) as loader:
        for epoch in range(3):
            start = time.perf_counter()
            for _ in loader.batches(list(batches(len(samples), samples.config, 0, epoch))):
                pass
            wait(setup.device)
            seconds.append(time.perf_counter() - start)
    return {"first_epoch_per_s": len(samples) / seconds[0], "later_per_s": len(samples) / seconds[2]}


def drawing(setup: Setup, note: Note) -> None:
    """What the device needs to draw a batch, and to copy it there."""
    campaign, config = made(setup)
    samples = samples_of(campaign, config)
    draws = [Draw(index % len(samples), 0, setup.side) for index in range(setup.batch)]
    pin = setup.device.type == "cuda"
    batch = RawBatch.pack([samples.raw(draw) for draw in draws], setup.side, pin=pin)
    there = batch.to(setup.device)
    for name, work in (("copy", lambda: batch.to(setup.device)), ("draw", there.drawn)):
        work()
        note(f"{name} of a batch", {"ms": 1000 * min(seconds_of(work, setup.device))})
    drawn, wanted = there.drawn(), [samples.square(draw) for draw in draws]
    images = np.stack([image for image, _ in wanted]).astype(int)
    targets = torch.from_numpy(np.stack([target for _, target in wanted]))
    note(
        "against the CPU",
        {
            "targets_equal": bool(torch.equal(drawn[1].cpu(), targets)),
            "largest_difference": int(np.abs(drawn[0].permute(0, 2, 3, 1).cpu().numpy() - images).max()),
        },
    )


def seconds_of(work: Callable[[], object], device: torch.device) -> Iterator[float]:
    """Seconds of a few calls, each to its end on the device."""
    for _ in range(3):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        yield time.perf_counter() - start
