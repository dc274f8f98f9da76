"""Frozen networks prepared for inference: the operations of the answer alone, batch norms folded, weights as
the processor reads them.
"""

import copy
import warnings
from collections.abc import Collection, Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from atal_ray.errors import DataError
from atal_ray.inference.graph import (
    NAME,
    Answer,
    fold_batch_norms,
    frozen_convolutions,
    set_value,
    trace,
    value,
)
from atal_ray.inference.onednn import can_pack, pack_convolutions
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

TOLERANCE = 1e-4
"""Largest difference between the prepared and the plain network's output, as a share of the largest value of
that output.
"""

Precision = Literal["float32", "bfloat16"]


def prepare_snapshots(
    networks: Sequence[SaliencyNetwork],
    sides: Sequence[Collection[int]],
    batch: int,
    precision: Precision,
    device: torch.device,
) -> list["Prepared"]:
    """The networks of a trajectory, each prepared; they have one structure, so it is traced once for each
    side.

    Another rounding is another attack: max-pooling has ties in flat parts of an image, signs of tiny
    gradients turn last bits into whole steps, and every step multiplies what the last one moved. In float64,
    without ties, the points are the same (benchmarks/query_speed.py).

    Args:
        networks: frozen, in evaluation mode, on the CPU: a GPU may round its products too coarsely for the
            comparison.
        sides: for each network, heights and widths of the images to come; there will be no others.
        batch: images of the batches to come; others are slower.
        precision: what the convolutions compute in; images, their gradients, logits and features are float32
            all the same.
        device: where the result is to be.
    """

    @cache
    def traced(side: int) -> GraphModule | None:
        try:
            return trace(networks[0], side)
        except (
            Exception
        ) as error:  # a user's forward may do what cannot be foreseen, and torch.export raises many kinds
            _warn(networks[0], str(error))
            return None

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    prepared = []
    for network, mine in zip(networks, sides, strict=True):
        graphs = {
            side: prepare_graph(traced(side), network, side, batch, dtype, device) for side in set(mine)
        }
        prepared.append(Prepared(network, graphs, dtype).to(device))
    return prepared


def prepare_graph(
    traced: GraphModule | None,
    network: SaliencyNetwork,
    side: int,
    batch: int,
    dtype: torch.dtype,
    device: torch.device,
) -> GraphModule | None:
    """A traced graph with the network's weights and without batch norms; on a CPU, its convolutions packed.

    It must then give what the network gives on random images (before what bfloat16 rounds); None where it
    does not.
    """
    if traced is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of PyTorch about itself
        graph = copy.deepcopy(traced)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, side, side, generator=generator).to(next(network.parameters()).dtype)
    try:
        with torch.no_grad():
            expected = Answer(network)(network.normalise(images))
            graph.load_state_dict(
                {f"{NAME}.{key}": tensor for key, tensor in network.state_dict().items()}, strict=False
            )
            fold_batch_norms(graph)
            _check(graph(network.normalise(images)), expected)
            packs = device.type == "cpu" and images.dtype == torch.float32 and can_pack(dtype)
            if packs:
                pack_convolutions(graph, batch, dtype)
            elif dtype == torch.bfloat16:
                _round_weights(graph)
            graph.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                found = graph(
                    network.normalise(images).to(device)
                )  # a tensor of the forward's own may be on the wrong device
            if packs and dtype == torch.float32:
                _check(found, expected)
        return graph
    except Exception as error:  # as above: the plain network answers
        _warn(network, str(error))
        return None


def _warn(network: SaliencyNetwork, reason: str) -> None:
    first = reason.strip().partition("\n")[0]
    warnings.warn(
        f"{type(network).__name__} asks as it is, which is slower: its forward pass is no fixed graph ({first})",
        stacklevel=2,
    )


def _round_weights(graph: GraphModule) -> None:
    """Turn the weights of the convolutions into bfloat16: autocast would do it at every pass, as it keeps no
    copy of frozen ones.
    """
    for convolution in frozen_convolutions(graph):
        for node in convolution.args[1:3]:
            if isinstance(node, Node):
                set_value(graph, node.target, value(graph, node).to(torch.bfloat16))


def _check(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Raise ValueError where the saliency map before its sigmoid, or the features, differ by more than
    rounding.
    """
    for one, other in zip(found, expected, strict=True):
        if not float((one - other).abs().max()) <= TOLERANCE * float(other.abs().max()):
            raise ValueError("the graph gives something else")


class Prepared(SaliencyNetwork):
    """A frozen network that computes with a graph of its own for each side, and gives the logits of the
    prediction alone.

    Args:
        network: answers where there is no graph.
        graphs: side -> graph of its answer, or None.
        dtype: bfloat16 lets the convolutions compute in that, by autocast.
    """

    loss_weights = (1.0,)
    prediction = 0

    def __init__(
        self, network: SaliencyNetwork, graphs: dict[int, GraphModule | None], dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.feature_channels, self.multiple, self.mean, self.std = (
            network.feature_channels,
            network.multiple,
            network.mean,
            network.std,
        )
        self.autocast = dtype == torch.bfloat16
        self.graphs = nn.ModuleDict({str(side): graph for side, graph in graphs.items() if graph is not None})
        self.plain = None if len(self.graphs) == len(graphs) else self._plain(network)
        self._without_weights = (_without_weights(network),)  # in a tuple: no part of this module
        self.eval().requires_grad_(False)

    def normalise(self, images: Tensor) -> Tensor:
        """As the network does."""
        return self._without_weights[0].normalise(images)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, S, S] of a side that the network is prepared for."""
        self._without_weights[0].check_sides(x)
        height, width = x.shape[-2:]
        answer = self.graphs[str(height)] if height == width and str(height) in self.graphs else self.plain
        if answer is None:
            raise DataError(
                f"images are {width}x{height} px: the snapshot is prepared for sides of {', '.join(self.graphs)}"
            )
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            logits, features = answer(x)
        return SaliencyOutput((logits.to(x.dtype),), features.to(x.dtype))

    def _plain(self, network: SaliencyNetwork) -> Answer:
        plain = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in plain.modules() if self.autocast else ():
            if type(module) is nn.Conv2d:
                module.to(torch.bfloat16)  # as in `_round_weights`
        return Answer(plain)


def _without_weights(network: SaliencyNetwork) -> SaliencyNetwork:
    """The network's class and settings, for its `normalise` and `check_sides`."""
    bare = copy.copy(network)
    bare._modules, bare._parameters = {}, {}
    return bare
