"""Frozen networks prepared for inference: batch norms inside convolutions, weights as the processor reads them."""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

TOLERANCE = 1e-4
"""Largest difference between the folded and the plain network's output, as a share of the largest value of that output."""

Network = TypeVar("Network", bound=SaliencyNetwork)


def prepare_snapshots(networks: Sequence[SaliencyNetwork], side: int, precision: Literal["float32", "bfloat16"]) -> list[SaliencyNetwork]:
    """The networks of a trajectory, each prepared; see `prepare`.

    Args:
        networks: frozen, in evaluation mode, on the CPU.
        side: height and width of the images to come.
        precision: bfloat16 wraps each in `HalfPrecision`.
    """
    prepared = [prepare(network, side) for network in networks]
    return [HalfPrecision(network) for network in prepared] if precision == "bfloat16" else prepared


def prepare(network: Network, side: int) -> Network:
    """A copy with as many batch norms as possible folded into the convolutions before them, in channels-last layout.

    Which these are, the autograd graph of one pass says: a batch norm whose input is the output of a convolution, or the sum of
    several, that nothing else reads. (Symbolic tracing, as in torch.fx, stops at the check of the sides.) What is normalised or
    convolved twice stays as it is. The copy must then give what the network gives on random images; where it does not, nothing is
    folded.

    Another rounding is another attack: max-pooling has ties in flat parts of an image, signs of tiny gradients turn last bits
    into whole steps, and every step multiplies what the last one moved. In float64, without ties, the points are the same
    (benchmarks/query_speed.py).

    Args:
        network: frozen, in evaluation mode, on the CPU: a GPU may round its products too coarsely for the comparison.
        side: height and width of the images to come.
    """
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    images = noise.to(next(network.parameters()).dtype)
    plain, folded = _channels_last(network), _channels_last(network)
    try:
        with torch.no_grad():
            for norm, convolutions in list(_foldable(folded, images)):
                _fold(norm, convolutions)
                _replace(folded, norm, nn.Identity())
        return folded if _agree(folded, plain, images) else plain
    except Exception:  # a user's forward may call its modules, or ask a batch norm for things, in ways that cannot be foreseen
        return plain


def _channels_last(network: Network) -> Network:
    copied: Network = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied


def _foldable(network: SaliencyNetwork, images: Tensor) -> Iterator[tuple[nn.BatchNorm2d, list[nn.Conv2d]]]:
    """Batch norms, and the convolutions whose sum is all that each of them reads."""
    calls: Counter[nn.Module] = Counter()
    made: dict[Node, nn.Conv2d] = {}
    read: dict[nn.BatchNorm2d, Node | None] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] += 1
        if type(module) is nn.BatchNorm2d:
            read[module] = inputs[0].grad_fn
        elif type(module) is nn.Conv2d and output.grad_fn is not None:
            made[output.grad_fn] = module

    kinds = (nn.Conv2d, nn.BatchNorm2d)  # and no derived class, which may compute something else
    hooks = [module.register_forward_hook(note) for module in network.modules() if type(module) in kinds]
    try:
        with torch.enable_grad():
            output: SaliencyOutput = network(network.normalise(images.clone().requires_grad_()))
    finally:
        for hook in hooks:
            hook.remove()
    readers = _readers([*output.logits, output.features])
    once = {node: module for node, module in made.items() if calls[module] == 1}
    for norm, node in read.items():
        convolutions = _summands(node, once, readers)
        frozen = norm.running_mean is not None and not norm.training and calls[norm] == 1
        if frozen and convolutions and all(convolution.out_channels == norm.num_features for convolution in convolutions):
            yield norm, convolutions


def _readers(outputs: Sequence[Tensor]) -> Counter[Node]:
    """How often each node of the graph is read, be it by the caller."""
    found = Counter(tensor.grad_fn for tensor in outputs if tensor.grad_fn is not None)
    waiting = list(found)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None:
                if node not in found:
                    waiting.append(node)
                found[node] += 1
    return found


def _summands(node: Node | None, made: dict[Node, nn.Conv2d], readers: Counter[Node]) -> list[nn.Conv2d]:
    """The convolutions whose sum the node is; empty where there is more to it, or another reader."""
    if node is None or readers[node] != 1:
        return []
    if node in made:
        return [made[node]]
    if node.name() != "AddBackward0":
        return []
    first, second = (_summands(term, made, readers) for term, _ in node.next_functions)
    return [*first, *second] if first and second else []


def _fold(norm: nn.BatchNorm2d, convolutions: Sequence[nn.Conv2d]) -> None:
    """Scale what the convolutions give as the batch norm does, and let the first of them shift the sum."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        shift = shift + norm.bias.double()
    for convolution in convolutions:
        weight = convolution.weight.double() * scale[:, None, None, None]
        bias = shift if convolution.bias is None else shift + convolution.bias.double() * scale
        shift = torch.zeros_like(shift)
        dtype = convolution.weight.dtype
        convolution.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
        convolution.bias = nn.Parameter(bias.to(dtype), requires_grad=False)


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module._modules.items():
            if child is old:
                module._modules[name] = new


@torch.no_grad()
def _agree(folded: SaliencyNetwork, network: SaliencyNetwork, images: Tensor) -> bool:
    """Whether the saliency map before its sigmoid, and the features, are the same but for rounding."""
    found, expected = (one(one.normalise(images)) for one in (folded, network))
    pairs = ((output.logits[network.prediction], output.features) for output in (found, expected))
    return all(float((a - b).abs().max()) <= TOLERANCE * float(b.abs().max()) for a, b in zip(*pairs, strict=True))


class HalfPrecision(SaliencyNetwork):
    """A network whose convolutions compute in bfloat16, by autocast; images, their gradients, logits and features are float32.

    It takes the network over, and turns the weights of its convolutions into bfloat16.
    """

    def __init__(self, network: SaliencyNetwork) -> None:
        super().__init__()
        self.network = network
        self.loss_weights, self.prediction, self.feature_channels = network.loss_weights, network.prediction, network.feature_channels
        self.mean, self.std, self.multiple = network.mean, network.std, network.multiple
        for module in self.network.modules():
            if type(module) is nn.Conv2d:
                module.to(torch.bfloat16)  # autocast would do it at every pass: it keeps no copy of frozen weights
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, H, W], float32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            output: SaliencyOutput = self.network(x)
        return SaliencyOutput(tuple(logits.float() for logits in output.logits), output.features.float())
