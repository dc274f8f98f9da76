"""Frozen networks prepared for inference: a backend is chosen, set up, and compared with the plain network.

A backend is one way to compute the prediction and the features of a frozen network:

* `plain`: the network itself (`plain.py`);
* `folded`: its traced operations, with the batch norms folded into the convolutions (`graph.py`);
* `onednn`: `folded`, with the convolutions done by oneDNN from weights that it rearranged once (`onednn.py`).
"""

import copy
import warnings
from collections.abc import Collection, MutableMapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from atal_ray.config.query import Precision
from atal_ray.errors import DataError
from atal_ray.inference.graph import fold_batch_norms, round_weights, trace
from atal_ray.inference.onednn import can_pack, pack_convolutions
from atal_ray.inference.operations import Operations, WholeGraph, traced_operations
from atal_ray.inference.plain import Answer, plain_answer
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

TOLERANCE = 1e-4
"""Largest difference between a backend's output and the plain one, as a share of the largest value."""

Backend = Literal["plain", "folded", "onednn"]
TraceKey = tuple[type, str, int]
"""The class and structure of a network, and the side of its images."""
Traced = Operations | WholeGraph
Traces = MutableMapping[TraceKey, Traced]


def choose_backend(device: torch.device, weights: torch.dtype, computing: torch.dtype) -> Backend:
    """`onednn` for a float32 network on a CPU whose oneDNN computes in that type, else `folded`.

    Args:
        device: where the network computes.
        weights: type of the network's weights.
        computing: type that its convolutions compute in.
    """
    usable = device.type == "cpu" and weights == torch.float32 and can_pack(computing)
    return "onednn" if usable else "folded"


def prepare_snapshots(
    networks: Sequence[SaliencyNetwork],
    sides: Sequence[Collection[int]],
    batch: int,
    precision: Precision,
    device: torch.device,
    backend: Backend | None = None,
    traces: Traces | None = None,
) -> list["Prepared"]:
    """Prepare the networks of a trajectory; they have one structure, so it is traced once for each side.

    Another backend rounds in another way, and rounding can move points: max-pooling has ties in flat parts of
    an image, signs of tiny gradients turn last bits into whole steps, and every step of the attack multiplies
    what the one before moved. In float64, without ties, the points are the same (benchmarks/query_speed.py).

    Args:
        networks: frozen, in evaluation mode, on the CPU: a GPU may round its products too coarsely for the
            comparison with `plain`.
        sides: for each network, heights and widths of the images to come; there will be no others.
        batch: images of the batches to come; others are slower.
        precision: what the convolutions compute in; images, their gradients, logits and features are float32
            all the same.
        device: where the result is to be.
        backend: `choose_backend` decides, unless given. A network that cannot be traced gets `plain`, with a
            warning.
        traces: of earlier calls, which networks of the same structure take instead of being traced again;
            new ones are added.
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if backend is None:
        backend = choose_backend(device, _weights_type(networks[0]), dtype)

    every_side = {side for own in sides for side in own}
    traced = {} if backend == "plain" else _trace(networks[0], every_side, {} if traces is None else traces)
    prepared = []
    for network, own in zip(networks, sides, strict=True):
        graphs: dict[int, GraphModule | None] = dict.fromkeys(own)
        for side in graphs.keys() & traced.keys():
            try:
                graphs[side] = prepare_graph(traced[side], network, side, batch, dtype, device, backend)
            except Exception as error:  # a user's forward pass may raise anything
                _warn(network, error)
        prepared.append(Prepared(network, graphs, dtype).to(device))
    return prepared


def _trace(network: SaliencyNetwork, sides: Collection[int], traces: Traces) -> dict[int, Traced]:
    """Side -> operations, without the sides at which the network cannot be traced."""
    traced, kind, structure = {}, type(network), _structure(network)
    for side in sides:
        try:
            if (kind, structure, side) not in traces:
                traces[kind, structure, side] = traced_operations(trace(network, side), Answer(network))
            traced[side] = traces[kind, structure, side]
        except Exception as error:  # a user's forward pass and torch.export may raise anything
            _warn(network, error)
    return traced


def _structure(network: SaliencyNetwork) -> str:
    """What the operations of a class depend on: modules, their settings, the type of the weights."""
    settings = {
        name: {
            key: value for key, value in vars(module).items() if isinstance(value, int | float | str | tuple)
        }
        for name, module in network.named_modules()
    }
    return f"{network} {settings} {_weights_type(network)}"


def prepare_graph(
    traced: Traced,
    network: SaliencyNetwork,
    side: int,
    batch: int,
    dtype: torch.dtype,
    device: torch.device,
    backend: Backend,
) -> GraphModule:
    """Traced operations with the weights of a network, set up for a backend and compared with the plain one.

    Raises:
        Exception: of many kinds, where the graph cannot run, or gives something else than the network.
    """

    def inputs() -> Tensor:
        """Normalised random images, new ones for each pass: a forward pass may change its input."""
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(1, 3, side, side, generator=generator)
        return network.normalise(images.to(_weights_type(network)))

    with torch.no_grad():
        expected = Answer(network)(inputs())
        graph = traced.graph(Answer(network))
        fold_batch_norms(graph)
        _compare(graph(inputs()), expected)
        if backend == "onednn":
            pack_convolutions(graph, batch, dtype)
        elif dtype == torch.bfloat16:
            round_weights(graph, dtype)
        graph.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            found = graph(inputs().to(device))  # fails where the graph makes tensors on another device
        if backend == "onednn" and dtype == torch.float32:
            _compare(found, expected)
    return graph


def _weights_type(network: SaliencyNetwork) -> torch.dtype:
    return next(network.parameters()).dtype


def _compare(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Raise ValueError where the logits or the features differ by more than TOLERANCE."""
    for one, other in zip(found, expected, strict=True):
        if not float((one - other).abs().max()) <= TOLERANCE * float(other.abs().max()):
            raise ValueError("the graph gives something else")


def _warn(network: SaliencyNetwork, error: Exception) -> None:
    reason = str(error).strip().partition("\n")[0]
    name = type(network).__name__
    warnings.warn(f"{name} runs unoptimised, which is slower: no usable graph ({reason})", stacklevel=3)


class Prepared(SaliencyNetwork):
    """A frozen network that computes with a graph for each side; its logits are those of the prediction
    alone.

    Args:
        network: the plain one, which computes the sides without a graph.
        graphs: side -> graph of its prediction and features, or None.
        dtype: bfloat16 lets the convolutions compute in that, by autocast.
    """

    loss_weights = (1.0,)
    prediction = 0

    def __init__(
        self, network: SaliencyNetwork, graphs: dict[int, GraphModule | None], dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.feature_channels, self.multiple = network.feature_channels, network.multiple
        self.mean, self.std = network.mean, network.std
        self.autocast = dtype == torch.bfloat16
        self.graphs = nn.ModuleDict({str(side): graph for side, graph in graphs.items() if graph is not None})
        self.plain = None if len(self.graphs) == len(graphs) else plain_answer(network, dtype)
        self._without_weights = (_without_weights(network),)  # in a tuple: no part of this module
        self.eval().requires_grad_(False)

    @property
    def is_fixed(self) -> bool:
        """Whether each pass is the same operations, none of which can wait for a GPU: all of it was traced,
        and images are normalised as all networks do unless they say otherwise.
        """
        own = type(self._without_weights[0]).normalise
        return self.plain is None and own is SaliencyNetwork.normalise

    def normalise(self, images: Tensor) -> Tensor:
        """As the network does."""
        return self._without_weights[0].normalise(images)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, S, S] of a side that the network is prepared for."""
        self._without_weights[0].check_sides(x)
        height, width = x.shape[-2:]
        answer = self.graphs[str(height)] if height == width and str(height) in self.graphs else self.plain
        if answer is None:
            known = ", ".join(self.graphs)
            raise DataError(f"images are {width}x{height} px: the snapshot is prepared for sides of {known}")
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            logits, features = answer(x)
        return SaliencyOutput((logits.to(x.dtype),), features.to(x.dtype))


def _without_weights(network: SaliencyNetwork) -> SaliencyNetwork:
    """The network's class and settings, for its `normalise` and `check_sides`."""
    bare = copy.copy(network)
    bare._modules, bare._parameters = {}, {}
    return bare
