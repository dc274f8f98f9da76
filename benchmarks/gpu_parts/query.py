"""The bare estimate of the query (attack and ensemble): each change on its own, as in `step.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atal_ray import networks
from atal_ray.acquisition.estimate import estimate
from atal_ray.config import AttackConfig, NetworkConfig
from atal_ray.config.query import Precision
from atal_ray.inference.plain import plain_answer
from atal_ray.inference.prepared import Traces, prepare_snapshots
from atal_ray.networks.graphed import Graphed
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from gpu_parts.setup import Note, Setup, median_seconds

MEMBERS = 5
ATTACK = AttackConfig()


@dataclass(frozen=True)
class Variant:
    """How the members compute, and how their passes are started."""

    precision: Precision = "bfloat16"
    batch: int = 16
    prepared: bool = True
    """Traced graphs with folded batch norms; the plain networks otherwise."""
    graph: bool = False
    compiled: bool = False
    benchmark: bool = False


VARIANTS = {
    "estimate, float32, batch 16": Variant(precision="float32"),
    "estimate, bfloat16, batch 16": Variant(),
    "estimate, bfloat16, batch 64": Variant(batch=64),
    "as a CUDA graph, float32, batch 16": Variant(precision="float32", graph=True),
    "as a CUDA graph, bfloat16, batch 16": Variant(graph=True),
    "as a CUDA graph, bfloat16, batch 64": Variant(graph=True, batch=64),
    "as a CUDA graph, cuDNN benchmark, bfloat16, batch 64": Variant(graph=True, batch=64, benchmark=True),
    "plain networks, CUDA graph, bfloat16, batch 64": Variant(graph=True, batch=64, prepared=False),
}
COMPILED = {
    "compiled + CUDA graph, batch 64": Variant(compiled=True, graph=True, batch=64),
    "compiled + CUDA graph, cuDNN benchmark, batch 64": Variant(
        compiled=True, graph=True, batch=64, benchmark=True
    ),
}


def plain_estimates(setup: Setup, note: Note) -> None:
    """Every variant without a compiler, and the loop with torchattacks where that is installed."""
    trajectory = snapshots(setup)
    for name, variant in VARIANTS.items():
        measure(setup, note, trajectory, name, variant)
    try:
        note("torchattacks and a loop, float32, batch 16", attacked_by_torchattacks(setup, trajectory))
    except Exception as error:  # not installed, or another version
        note(
            "torchattacks and a loop, float32, batch 16", {"error": f"{type(error).__name__}: {error}"[:300]}
        )


def compiled_estimates(setup: Setup, note: Note) -> None:
    """The compiled variants."""
    trajectory = snapshots(setup)
    for name, variant in COMPILED.items():
        measure(setup, note, trajectory, name, variant)


def profile(setup: Setup, note: Note) -> None:
    """Where the time of an estimate on the device goes, by kernel."""
    run, images = started(setup, snapshots(setup), Variant(batch=2 if setup.small else 64))
    run(images)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if setup.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as found:
        run(images)
        if setup.device.type == "cuda":
            torch.cuda.synchronize()
    sort = "self_cuda_time_total" if setup.device.type == "cuda" else "self_cpu_time_total"
    table = found.key_averages().table(sort_by=sort, row_limit=25, max_name_column_width=70)
    (setup.work / "profile-estimate.txt").write_text(table)
    print(table, flush=True)
    note("file", {"name": "profile-estimate.txt"})


def snapshots(setup: Setup) -> list[SaliencyNetwork]:
    """Frozen networks of one structure with other weights, on the CPU."""
    name = setup.networks[0]
    weights = "random" if networks.find(name).backbone_prefix else None
    found = []
    for seed in range(2 if setup.small else MEMBERS):
        torch.manual_seed(seed)
        built = networks.build(NetworkConfig(name=name, weights=weights, stride_on=setup.stride_on))
        found.append(built.eval().requires_grad_(False))
    return found


def measure(setup: Setup, note: Note, trajectory: list[SaliencyNetwork], name: str, variant: Variant) -> None:
    """Note images a second and peak memory of a variant."""
    device, before = setup.device, torch.backends.cudnn.benchmark
    try:
        torch.backends.cudnn.benchmark = variant.benchmark
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with torch.no_grad():
            run, images = started(setup, trajectory, variant)
            for _ in range(4):
                run(images)
            calls, repeats = (1, 1) if setup.small else (2, 3)
            seconds = median_seconds(lambda: run(images), device, calls=calls, repeats=repeats)
        peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
        figures: dict[str, Any] = {
            "images_per_s": len(images) / seconds,
            "ms": 1000 * seconds,
            "peak_mib": peak,
        }
    except Exception as error:  # one variant that fails must not lose the others
        figures = {"error": f"{type(error).__name__}: {error}"[:500]}
    finally:
        torch.backends.cudnn.benchmark = before
        if device.type == "cuda":
            torch.cuda.empty_cache()
    note(name, figures)


def started(
    setup: Setup, trajectory: list[SaliencyNetwork], variant: Variant
) -> tuple[Callable[[Tensor], object], Tensor]:
    """What is timed, and its images."""
    device, count = setup.device, 2 if setup.small else variant.batch
    if variant.prepared:
        sides = [{setup.side}] * len(trajectory)
        members: Sequence[SaliencyNetwork] = prepare_snapshots(
            trajectory, sides, count, variant.precision, device, "folded", TRACES
        )
    else:
        dtype = torch.bfloat16 if variant.precision == "bfloat16" else torch.float32
        members = [Plain(network, dtype).to(device) for network in trajectory]
    if variant.compiled:
        members = compiled(members)
    images = torch.rand(count, 3, setup.side, setup.side, generator=torch.Generator().manual_seed(1))
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    run = partial(estimate, members, config=ATTACK)
    if variant.graph and device.type == "cuda":
        return Graphed(run, "the estimate"), images
    return run, images


TRACES: Traces = {}


class Plain(SaliencyNetwork):
    """A network in channels-last under autocast, with the interface of a prepared one."""

    loss_weights = (1.0,)
    prediction = 0

    def __init__(self, network: SaliencyNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.feature_channels, self.multiple = network.feature_channels, network.multiple
        self.mean, self.std = network.mean, network.std
        self.answer, self.autocast = plain_answer(network, dtype), dtype == torch.bfloat16

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Logits of the prediction, and features."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            logits, features = self.answer(x)
        return SaliencyOutput((logits.to(x.dtype),), features.to(x.dtype))


class Shared(nn.Module):
    """A member whose graph is compiled once for all members: their weights are its inputs."""

    def __init__(self, member: SaliencyNetwork, call: Callable[..., tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.member, self.call, self.multiple = member, call, member.multiple
        graph = next(iter(member.graphs.values()))  # type: ignore[operator]
        self.weights = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
        self.prediction = 0

    def normalise(self, images: Tensor) -> Tensor:
        """As the member does."""
        return self.member.normalise(images)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Logits of the prediction, and features."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits, features = self.call(self.weights, x)
        return SaliencyOutput((logits.to(x.dtype),), features.to(x.dtype))

    def saliency(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and features."""
        output = self(self.normalise(images))
        return torch.sigmoid(output.logits[0]), output.features


def compiled(members: Sequence[SaliencyNetwork]) -> Sequence[SaliencyNetwork]:
    """The members by one compiled function of weights and images."""
    graph = next(iter(members[0].graphs.values()))  # type: ignore[operator]

    def call(weights: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = functional_call(graph, weights, (x,))
        return answer

    fast = torch.compile(call, dynamic=False)
    return [Shared(member, fast) for member in members]  # type: ignore[misc]


def attacked_by_torchattacks(setup: Setup, trajectory: list[SaliencyNetwork]) -> dict[str, float]:
    """Torchattacks' PGD of the last network, and a loop over the networks, as a user would write it."""
    import torchattacks

    class TwoClasses(nn.Module):
        """Torchattacks wants class logits of an image: here of each pixel."""

        def __init__(self, network: SaliencyNetwork) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            logits = self.network(self.network.normalise(x)).logits[self.network.prediction]
            return torch.cat([torch.zeros_like(logits), logits], 1)

    device, count = setup.device, 2 if setup.small else 16
    members = [network.to(device) for network in trajectory]
    wrapped = TwoClasses(members[-1]).eval()
    attack = torchattacks.PGD(
        wrapped, eps=ATTACK.epsilon, alpha=ATTACK.alpha, steps=ATTACK.steps, random_start=False
    )
    images = torch.rand(count, 3, setup.side, setup.side, device=device)

    def run() -> None:
        with torch.no_grad():
            labels = wrapped(images).argmax(1)
        attacked = attack(images, labels)
        with torch.no_grad():
            for batch in (images, attacked):
                torch.stack([member.saliency(batch)[0] for member in members]).mean(0).cpu()

    run()
    calls, repeats = (1, 1) if setup.small else (2, 3)
    return {"images_per_s": count / median_seconds(run, device, calls=calls, repeats=repeats)}
