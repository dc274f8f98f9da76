"""The bare training step: each change on its own, so that one run says what brings what."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atal_ray import networks
from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.networks import layers
from atal_ray.networks.graphed import Graphed
from atal_ray.training.fast_step import compiled_loss
from atal_ray.training.step import StepOf, build_optimizer, train_step
from gpu_parts.setup import AHEAD, Note, Setup, median_seconds, wait

RECIPE = TrainConfig()


@dataclass(frozen=True)
class Variant:
    """Which of the changes are made."""

    wait: bool = False
    """Read the loss after every step."""
    channels_last: bool = True
    products: bool = True
    """Resize by matrix products instead of `interpolate`."""
    fused: bool = True
    graph: bool = False
    compiled: bool = False
    benchmark: bool = False
    """cuDNN tries its kernels in the first step of a shape."""


VARIANTS = {
    "planar, loss read every step": Variant(wait=True, channels_last=False, products=False, fused=False),
    "+ loss read once": Variant(channels_last=False, products=False, fused=False),
    "+ channels-last": Variant(products=False, fused=False),
    "+ resize by products": Variant(fused=False),
    "+ fused SGD": Variant(),
    "+ CUDA graph": Variant(graph=True),
    "+ CUDA graph, cuDNN benchmark": Variant(graph=True, benchmark=True),
    "+ CUDA graph, interpolate": Variant(graph=True, products=False),
}
COMPILED = {
    "compiled + CUDA graph": Variant(compiled=True, graph=True),
    "compiled": Variant(compiled=True),
    "compiled + CUDA graph, cuDNN benchmark": Variant(compiled=True, graph=True, benchmark=True),
}
TODAY = next(iter(VARIANTS))
BEST = "+ CUDA graph"
BEST_COMPILED = "compiled + CUDA graph"


def plain_steps(setup: Setup, note: Note) -> None:
    """Every variant without a compiler of the first network."""
    for name, variant in VARIANTS.items():
        measure(setup, note, setup.networks[0], name, variant)


def plain_others(setup: Setup, note: Note) -> None:
    """The other networks as they were, and in their best form without a compiler."""
    for network in setup.networks[1:]:
        for name in (TODAY, BEST):
            measure(setup, note, network, name, VARIANTS[name])


def compile_ahead(setup: Setup, note: Note) -> None:
    """Compile the step of each network, beside other parts, so that they find it in the compiler's cache."""
    os.nice(10)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "6")
    order = setup.networks[:1] + setup.networks[:0:-1]
    for network in order:
        start = time.perf_counter()
        step, batches = prepared(setup, network, COMPILED["compiled"])
        for batch in batches[:2]:
            float(step(*batch))
        note(network, {"seconds": time.perf_counter() - start})
        (setup.work / f"compiled-{network}").touch()


def await_compiled(setup: Setup, network: str, seconds: float = 90) -> None:
    """Wait for `compile_ahead`, where it runs, to have compiled a network."""
    end = time.monotonic() + seconds
    while (setup.work / AHEAD).exists() and time.monotonic() < end:
        if (setup.work / f"compiled-{network}").exists():
            return
        time.sleep(0.2)


def compiled_steps(setup: Setup, note: Note) -> None:
    """The compiled variants of the first network."""
    await_compiled(setup, setup.networks[0])
    for name, variant in COMPILED.items():
        measure(setup, note, setup.networks[0], name, variant)


def compiled_others(setup: Setup, note: Note) -> None:
    """The best compiled variant of the other networks."""
    for network in setup.networks[:0:-1]:
        await_compiled(setup, network)
        measure(setup, note, network, BEST_COMPILED, COMPILED[BEST_COMPILED])


def measure(setup: Setup, note: Note, network: str, name: str, variant: Variant) -> None:
    """Note images a second, the first step's seconds, the loss of the steps, and peak memory."""
    try:
        with switched(variant):
            figures: dict[str, Any] = dict(timed(setup, network, variant))
    except Exception as error:  # one variant that fails must not lose the others
        figures = {"error": f"{type(error).__name__}: {error}"[:500]}
    finally:
        if setup.device.type == "cuda":
            torch.cuda.empty_cache()
    note(f"{network}: {name}", figures)


def timed(setup: Setup, network: str, variant: Variant) -> dict[str, float]:
    """Measure one variant."""
    device = setup.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step, batches = prepared(setup, network, variant)
    turns = itertools.cycle(batches)
    losses, start = [], time.perf_counter()
    for number in range(4 if setup.small else 8):  # the first steps plan, compile, record
        losses.append(float(step(*next(turns))))
        if number == 0:
            first = time.perf_counter() - start
    calls, repeats = (1, 1) if setup.small else (10, 3)
    seconds = median_seconds(lambda: step(*next(turns)), device, calls=calls, repeats=repeats)
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
    return {
        "images_per_s": setup.batch / seconds,
        "ms_per_step": 1000 * seconds,
        "first_step_s": first,
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "peak_mib": peak,
    }


def prepared(setup: Setup, network: str, variant: Variant) -> tuple[StepOf, list[tuple[Tensor, Tensor]]]:
    """The step of a variant on a fresh network, and three batches with some labelled pixels."""
    torch.manual_seed(0)
    device = setup.device
    weights = "random" if networks.find(network).backbone_prefix else None
    config = NetworkConfig(name=network, weights=weights, stride_on=setup.stride_on)
    built = networks.build(config).to(device).train()
    if variant.channels_last:
        built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(built, RECIPE)
    if not variant.fused:
        for group in optimizer.param_groups:
            group.update(fused=None, lr=float(group["lr"]))
    plain = partial(train_step, built, built, optimizer, recipe=RECIPE)
    step: StepOf = partial(plain, loss_of=compiled_loss()) if variant.compiled else plain
    if variant.graph and device.type == "cuda":
        step = Graphed(step, "the step")
    if variant.wait:
        step = waiting(step)
    return step, [made_batch(setup, variant) for _ in range(3)]


def waiting(step: StepOf) -> StepOf:
    """The step, after which the loss is read."""
    return lambda images, targets: torch.tensor(float(step(images, targets)))


def made_batch(setup: Setup, variant: Variant) -> tuple[Tensor, Tensor]:
    """Noise with bright squares, and labels on a tenth of the pixels."""
    shape = (setup.batch, setup.side, setup.side)
    images = torch.randint(0, 120, (shape[0], 3, *shape[1:]), dtype=torch.uint8, device=setup.device)
    part = slice(setup.side // 4, setup.side // 2)
    images[:, :, part, part] += 120
    masks = torch.zeros(shape, dtype=torch.uint8, device=setup.device)
    masks[:, part, part] = 1
    targets = torch.where(torch.rand(shape, device=setup.device) < 0.1, masks, 255).to(torch.uint8)
    if variant.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, targets


@contextmanager
def switched(variant: Variant) -> Iterator[None]:
    """The switches of a variant that are the process's own, for the time of the block."""
    before, resize = torch.backends.cudnn.benchmark, layers.bilinear
    torch.backends.cudnn.benchmark = variant.benchmark
    if not variant.products:
        layers.bilinear = interpolate
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark, layers.bilinear = before, resize


def interpolate(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """PyTorch's own resizing."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def ceilings(setup: Setup, note: Note) -> None:
    """What the card does at most: a bfloat16 product, a copy (bytes read and written), a kernel's launch."""
    device, side = setup.device, 64 if setup.small else 8192
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    buffer = torch.empty(2**16 if setup.small else 2**31, dtype=torch.uint8, device=device)
    target, tiny = torch.empty_like(buffer), torch.zeros(1, device=device)
    works: dict[str, tuple[Callable[[], object], int]] = {
        "product": (lambda: a @ b, 10),
        "copy": (lambda: target.copy_(buffer), 10),
        "launch": (lambda: tiny.add_(1), 1000),
    }
    seconds = {}
    for name, (work, calls) in works.items():
        work()
        seconds[name] = median_seconds(work, device, calls=calls, repeats=3)
    note(
        "ceilings",
        {
            "tflops_bf16": 2 * side**3 / seconds["product"] / 1e12,
            "copy_gb_per_s": 2 * buffer.numel() / seconds["copy"] / 1e9,
            "launch_us": 1e6 * seconds["launch"],
        },
    )


def profile(setup: Setup, note: Note) -> None:
    """Where a step's time goes on the device: kernels by kind and the largest of them, and a trace."""
    network = setup.networks[0]
    chosen = {"today": VARIANTS[TODAY], "plain": VARIANTS["+ fused SGD"]}
    if setup.device.type == "cuda":
        chosen["compiled"] = COMPILED["compiled"]
    for name, variant in chosen.items():
        with switched(variant):
            note(f"profile of {network}, {name}", profiled(setup, network, variant, name))


KINDS = {
    "batch norm": ("batch_norm", "bn_fw", "bn_bw"),
    "resize": ("upsample", "interpolate"),
    "optimiser": ("sgd", "multi_tensor", "foreach"),
    "pooling": ("pool",),
    "Triton (fused by the compiler)": ("triton_",),
    "copies": ("memcpy", "memset", "copy_kernel", "direct_copy"),
    "reductions": ("reduce_kernel",),
    "convolutions and products": (
        "conv",
        "gemm",
        "cutlass",
        "sm90",
        "sm80",
        "wgrad",
        "dgrad",
        "nchw",
        "nhwc",
        "xmma",
    ),
    "elementwise": ("elementwise", "vectorized"),
}


def profiled(setup: Setup, network: str, variant: Variant, name: str) -> dict[str, object]:
    """Profile three steps."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recording

    step, batches = prepared(setup, network, variant)
    turns, device = itertools.cycle(batches), setup.device
    for _ in range(3):
        step(*next(turns))
    wait(device)
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with recording(activities=activities) as record:
        start = time.perf_counter()
        for _ in range(3):
            step(*next(turns))
        wait(device)
        seconds = (time.perf_counter() - start) / 3
    record.export_chrome_trace(str(setup.work / f"trace-step-{name}.json.gz"))
    kernels: dict[str, list[float]] = {}
    for event in record.key_averages():
        time_us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if time_us and (not on_gpu or str(event.device_type).endswith("CUDA")):
            kernels[event.key] = [time_us / 3000, event.count / 3]
    by_kind: dict[str, float] = {}
    for key, (milliseconds, _) in kernels.items():
        by_kind[kind_of(key)] = by_kind.get(kind_of(key), 0.0) + milliseconds
    largest = sorted(kernels.items(), key=lambda item: -item[1][0])[:30]
    return {
        "ms_per_step_profiled": 1000 * seconds,
        "kernel_ms": sum(value for value, _ in kernels.values()),
        "kernels": sum(count for _, count in kernels.values()),
        "ms_by_kind": dict(sorted(by_kind.items(), key=lambda item: -item[1])),
        "largest": [[key[:140], *map(lambda v: round(v, 4), values)] for key, values in largest],
    }


def kind_of(kernel: str) -> str:
    """The kind of a kernel by its name."""
    low = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in low for part in parts)), "other")
