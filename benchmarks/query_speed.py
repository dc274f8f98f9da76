"""Attack and ensemble scoring of real images: ours against torchattacks' PGD and a plain loop over the
snapshots.

    python benchmarks/query_speed.py --train DUTS-TR --weights resnet50.pth --snapshots runs/benchmark

All variants take turns on the same images, on the GPU where there is one; those in bfloat16 where the
processor has it. The floor is the operations of the passes that the definition asks for, over the rate of the
fastest of some large 3x3 convolutions, timed in the same turns. Points are the k picks of RDS from the maps
and features of each variant, compared with those of torchattacks and the loop; the same loop on images whose
channels lie one after the other in memory shows what float32 rounding alone does to them. Before that, both
compute in float64, where no point may differ. Writes benchmarks/results/query_speed_(cuda or cpu).json, and a
table. Needs the rivals: `make .venv/compared`.
"""

import dataclasses
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from machine import described, provenance
from numpy.typing import NDArray
from snapshots import CYCLES, IMAGES, trained
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from atal_ray import networks, seeding
from atal_ray.acquisition.estimate import Estimate, attacked_side, estimate
from atal_ray.acquisition.pick import PixelPool, pick_diverse
from atal_ray.acquisition.uncertainty import difference
from atal_ray.config import AttackConfig, NetworkConfig, QueryConfig
from atal_ray.data.images import read_image, resize
from atal_ray.data.layout import find_pairs
from atal_ray.inference.onednn import can_pack
from atal_ray.inference.prepared import prepare_snapshots
from atal_ray.networks.inputs import choose_device, to_batch
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshot_reader import read_snapshots

RESULTS = Path(__file__).parent / "results"
MEASURES = (
    "atal_ray.acquisition.attack",
    "atal_ray.acquisition.ensemble",
    "atal_ray.acquisition.estimate",
    "atal_ray.inference",
)
RIVAL, OURS, HALF = "torchattacks + loop", "ours", "ours, bfloat16"
ROUNDED = f"{RIVAL}, planar images"
FULL = AttackConfig()
PROOF_SIDE = 224
CHANNELS_AND_SIDE = ((64, 88), (128, 88), (256, 88), (256, 44), (512, 44), (512, 22))
KINDS = {  # by parts of the operations' names; the first that fits
    "input gradient of convolutions": ("convolution_backward", "conv2d_backward", "dgrad", "backward_data"),
    "convolution": ("convolution", "conv2d", "fprop", "gemm"),
    "batch norm": ("batch_norm", "bn_fw", "bn_bw"),
    "interpolation": ("upsample",),
    "ReLU": ("threshold", "clamp_min", "relu"),
}

Judged = Estimate[NDArray[np.float32]]
Variant = Callable[[Tensor], Judged]
Points = list[tuple[int, int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    train: Path
    """DUTS-TR or another folder of images and masks."""
    weights: Path
    """ImageNet weights of ResNet-50."""
    snapshots: Path = Path("runs/benchmark")
    """Campaign whose snapshots ask; made if it is not there."""
    images: int = 4
    batch: int = 4
    size: int = 352
    k: int = 2
    repeats: int = 5
    threads: int = 2
    """CPU threads, where there is no GPU."""


class PixelClassifier(nn.Module):
    """A snapshot as torchattacks takes it: images in [0, 1] to logits [B, 2, H, W], background first."""

    def __init__(self, network: SaliencyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Softmax of (0, z) is the sigmoid of z."""
        logits = self.network(self.network.normalise(images)).logits[self.network.prediction]
        return torch.cat([torch.zeros_like(logits), logits], dim=1)


def plain(snapshots: list[SaliencyNetwork], images: Tensor) -> Judged:
    """What a user writes: attack the last snapshot's own prediction, run every snapshot on both versions,
    average.
    """
    from torchattacks import PGD

    classifier = PixelClassifier(snapshots[-1]).eval()  # or torchattacks leaves the snapshot in training mode
    with torch.no_grad():
        target = classifier(images).argmax(1)
    attack = PGD(classifier, eps=FULL.epsilon, alpha=FULL.alpha, steps=FULL.steps, random_start=False)
    attacked = attack(images, target)
    with torch.no_grad():
        clean = [network.saliency(images) for network in snapshots]
        after = [network.saliency(attacked)[0] for network in snapshots]
    means = (torch.stack(maps).mean(0)[:, 0] for maps in ([probability for probability, _ in clean], after))
    return Estimate(*(tensor.cpu().numpy() for tensor in (*means, clean[-1][1])))


def variants(options: Options, device: torch.device) -> dict[str, Variant]:
    """The rival, ours, and the options that trade equal points for speed."""
    campaign, config = trained(options.train, options.weights, options.snapshots)
    read = read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    sides = [[options.size]] * (len(read) - 1) + [
        [options.size, attacked_side(options.size, 0.5, read[-1].multiple)]
    ]
    exact = prepare_snapshots(read, sides, options.batch, "float32", device)
    loose = [network.to(device) for network in read]

    def ours(snapshots: list[Any], **changes: Any) -> Variant:
        return lambda images: estimate(snapshots, images, dataclasses.replace(FULL, **changes)).numpy()

    found = {
        RIVAL: lambda images: plain(loose, images),
        ROUNDED: lambda images: plain(loose, images.contiguous()),
        OURS: ours(exact),
        "ours, attack at half the side": ours(exact, scale=0.5),
        "ours, 3 steps": ours(exact, steps=3),
    }
    if has_bfloat16(device):
        half = prepare_snapshots(read, sides, options.batch, "bfloat16", device)
        found |= {HALF: ours(half), "ours, bfloat16, half the side": ours(half, scale=0.5)}
    return found


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere PyTorch imitates it, ten times slower than
    float32.
    """
    return bool(torch.cuda.is_bf16_supported() if device.type == "cuda" else can_pack(torch.bfloat16))


def read_images(options: Options) -> list[np.ndarray[Any, Any]]:
    """Images that the snapshots were not trained on, from the whole of the set."""
    files = list(find_pairs(options.train).images.values())[IMAGES:]
    return [
        resize(read_image(files[i * len(files) // options.images]), options.size)
        for i in range(options.images)
    ]


def points_of(found: list[Judged], options: Options) -> Points:
    """The points asked for, as image, column and row."""
    points, size = Points(), options.size
    maps = [one for batch in found for one in zip(batch.clean, batch.attacked, batch.features, strict=True)]
    pool = PixelPool(
        size,
        size,
        np.ones((size, size), bool),
        np.full((size, size), -1, np.int32),
        np.empty((0, 2), np.int32),
    )
    for index, (clean, attacked, features) in enumerate(maps):
        score = difference(clean, attacked, "flip-margin")
        pick = pick_diverse(
            pool, score, features, options.k, QueryConfig(), seeding.rng(0, "benchmark", index)
        )
        points += [(index, int(x), int(y)) for x, y in pick.xy]
    return points


def operations(network: SaliencyNetwork, size: int) -> float:
    """Of one image: as many passes with its gradient as the attack has steps, and 2L - 1 without."""
    images = torch.rand(1, 3, size, size, requires_grad=True)
    with FlopCounterMode(display=False) as gradient:
        torch.autograd.grad(network(network.normalise(images)).logits[network.prediction].sum(), images)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(network.normalise(images))
    return float(FULL.steps * gradient.get_total_flops() + (2 * CYCLES - 1) * forward.get_total_flops())


def convolution(
    channels: int, side: int, dtype: torch.dtype, device: torch.device
) -> tuple[Callable[[], Tensor], float]:
    """A 3x3 convolution in channels-last layout, and its operations."""
    batch = 8 if device.type == "cpu" else 64
    x, weight = (
        torch.rand(shape, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        for shape in ((batch, channels, side, side), (channels, channels, 3, 3))
    )
    return lambda: conv2d(x, weight, padding=1), 2.0 * 9 * channels**2 * side**2 * batch


def _all_batches(work: Callable[[Tensor], Judged], batches: list[Tensor]) -> list[Judged]:
    return [work(batch) for batch in batches]


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Seconds that the work takes, to its end on the device, and what it returns."""
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def shares(work: Callable[[], Any], device: torch.device) -> dict[str, float]:
    """Where the time goes, by kind of operation; shares of the time spent in operations."""
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as profiler:
        work()
    spent: defaultdict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        kind = next(
            (kind for kind, parts in KINDS.items() if any(part in event.key.lower() for part in parts)),
            "other",
        )
        spent[kind] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return {
        kind: value / sum(spent.values()) for kind, value in sorted(spent.items(), key=lambda item: -item[1])
    }


def speed(
    name: str, seconds: dict[Any, list[float]], rates: dict[Any, float], flops: float, options: Options
) -> dict[str, float]:
    """Medians over the turns; times the floor where all the operations are done."""
    spent = statistics.median(seconds[name][1:]) / options.images
    faster = statistics.median(a / b for a, b in zip(seconds[RIVAL][1:], seconds[name][1:], strict=True))
    row = {"images_per_s": 1 / spent, "times_as_fast": faster}
    if name in (RIVAL, OURS, HALF):
        dtype = torch.bfloat16 if name == HALF else torch.float32
        row["times_the_floor"] = (
            spent * max(rate for (*_, kind), rate in rates.items() if kind == dtype) / flops
        )
    return row


def compare(found: list[Judged], reference: list[Judged], options: Options) -> dict[str, float]:
    """Share of the reference's points that are found, and the mean change of the attacked maps."""
    points, expected = points_of(found, options), points_of(reference, options)
    maps, others = (
        np.concatenate([batch.attacked for batch in estimates]) for estimates in (found, reference)
    )
    return {
        "equal_points": len(set(points) & set(expected)) / len(expected),
        "map_change": float(np.abs(maps - others).mean()),
    }


def without_rounding(options: Options) -> dict[str, float]:
    """Ours beside the rival in float64, at a small side, on images dithered by a grey level: flat parts tie
    in max-pooling.

    What is left of the difference is the definition; the points must be the same.
    """
    small = dataclasses.replace(options, size=PROOF_SIDE)
    campaign, config = trained(options.train, options.weights, options.snapshots)
    networks = [
        network.double() for network in read_snapshots(campaign.snapshots(0), config, torch.device("cpu"))
    ]
    grey = torch.from_numpy(np.stack(read_images(small))).permute(0, 3, 1, 2).double()
    images = (
        grey + torch.rand(grey.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ) / 256
    found = [
        plain(networks, images),
        estimate(
            prepare_snapshots(
                networks, [[PROOF_SIDE]] * len(networks), options.batch, "float32", images.device
            ),
            images,
            FULL,
        ).numpy(),
    ]
    rival, ours = ([Estimate(one.clean, one.attacked, one.features.astype(np.float32))] for one in found)
    row = compare(ours, rival, small)
    if row["equal_points"] < 1:
        raise SystemExit(
            f"in float64 only {row['equal_points']:.0%} of the points are equal: these are two computations"
        )
    return row


def main(options: Options) -> None:
    """Measure all variants in turns and write the figures."""
    head = provenance(MEASURES, ("torchattacks",))
    torch.set_num_threads(options.threads)
    proved = without_rounding(options)
    device = choose_device("auto")
    works, images = variants(options, device), read_images(options)
    batches = [
        to_batch(np.stack(images[i : i + options.batch]), device)
        for i in range(0, len(images), options.batch)
    ]
    dtypes = [torch.float32, *([torch.bfloat16] if has_bfloat16(device) else [])]
    layers = {
        (*shape, dtype): convolution(*shape, dtype, device) for shape in CHANNELS_AND_SIDE for dtype in dtypes
    }
    seconds: defaultdict[Any, list[float]] = defaultdict(list)
    found: dict[str, list[Judged]] = {}
    for _ in range(options.repeats + 1):
        for shape, (layer, _) in layers.items():
            seconds[shape].append(timed(layer, device)[0])
        for name, work in works.items():
            spent, found[name] = timed(partial(_all_batches, work, batches), device)
            seconds[name].append(spent)
    rates = {
        shape: flops / statistics.median(seconds[shape][1:]) for shape, (_, flops) in layers.items()
    }  # the first turn plans
    network = networks.build(NetworkConfig(name="f3net", weights="random", stride_on="1x1"))
    work_of_one = operations(network.eval().requires_grad_(False), options.size)
    rows: dict[str, dict[str, float]] = {}
    for name, estimates in found.items():
        rows[name] = {
            **speed(name, seconds, rates, work_of_one, options),
            **compare(estimates, found[RIVAL], options),
        }
        print(f"{name:36} " + ", ".join(f"{key} {value:.3g}" for key, value in rows[name].items()))
    time_goes = {
        name: shares(partial(works[name], batches[0]), device)
        for name in (RIVAL, OURS, HALF)
        if name in works
    }
    for name, parts in time_goes.items():
        print(f"{name:36} " + ", ".join(f"{kind} {share:.0%}" for kind, share in parts.items()))
    result = {
        "provenance": head,
        "options": described(options),
        "attack": dataclasses.asdict(FULL),
        "bfloat16": has_bfloat16(device),
        "gflop_an_image": work_of_one / 1e9,
        "gflop_a_second": {
            f"{channels} channels, side {side}, {dtype}": rate / 1e9
            for (channels, side, dtype), rate in rates.items()
        },
        "variants": rows,
        "without_rounding": proved,
        "time_goes": time_goes,
    }
    (RESULTS / f"query_speed_{device.type}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
