"""The folded backend: a frozen network as a graph of operations, batch norms folded into the convolutions."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from atal_ray.inference.plain import Answer
from atal_ray.networks.protocol import SaliencyNetwork

aten = torch.ops.aten
CONV2D = (None, None, None, (1, 1), (0, 0), (1, 1), 1)
"""Defaults of what a convolution takes: input, weight, bias, stride, padding, dilation, groups."""


def trace(network: SaliencyNetwork, side: int) -> GraphModule:
    """The operations that lead to the prediction and the features, for any number of images of one side.

    Operations that feed other logits alone are left out. A graph forgets what a forward pass does to
    gradients (functions with a backward of their own, hooks), so the gradients are compared.

    Args:
        network: frozen, in evaluation mode, on the CPU.
        side: height and width of the images.

    Raises:
        Exception: of many kinds, where the forward pass depends on values or on the number of images, or has
            a gradient of its own.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, side, side, generator=generator).to(next(network.parameters()).dtype)
    batch = torch.export.Dim("batch", min=1, max=2**20)
    program = torch.export.export(Answer(network).eval(), (images,), dynamic_shapes=({0: batch},))
    module: GraphModule = program.module(check_guards=False)
    gradient, expected = (_gradient(form, images) for form in (module, Answer(network)))
    if not torch.allclose(gradient, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())):
        raise ValueError("the gradient of its forward pass is not that of its operations")
    for node in list(module.graph.nodes):
        if _is(node, aten._assert_tensor_metadata.default):  # of types, which autocast changes
            module.graph.erase_node(node)
        elif (
            node.target is aten.relu_.default
            and _is(node.args[0], aten.conv2d.default, aten.batch_norm.default)
            and _has_one_reader(node.args[0])
        ):
            node.target = aten.relu.default  # the same, and it may be left out or fused
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


@torch.enable_grad()
def _gradient(form: nn.Module, images: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    logits, _ = form(leaf * 1)  # a forward pass may change its input
    (gradient,) = torch.autograd.grad(logits.sum(), leaf)
    return gradient


def fold_batch_norms(module: GraphModule) -> None:
    """Fold each batch norm into the convolution before it, or into several whose sum it normalises.

    For batch norm s (x - m) / sqrt(v + e) + t and weights W, b: W' = W s / sqrt(v + e) and
    b' = (b - m) s / sqrt(v + e) + t. A convolution stays as it is if its output has another reader, or its
    weights are used elsewhere.
    """
    for norm in [node for node in module.graph.nodes if _is(node, aten.batch_norm.default)]:
        source, weight, bias, mean, variance, training, _, epsilon, _ = arguments(norm)
        convolutions = list(_summands(source))
        if training or mean is None or not convolutions:
            continue
        scale = (value(module, variance).double() + epsilon).rsqrt() * (
            1 if weight is None else value(module, weight).double()
        )
        shift = -value(module, mean).double() * scale + (0 if bias is None else value(module, bias).double())
        for convolution in convolutions:  # the shift is added once, by the first
            _scale(module, convolution, scale, shift)
            shift = torch.zeros_like(shift)
        norm.replace_all_uses_with(source)
        module.graph.erase_node(norm)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()


def round_weights(module: GraphModule, dtype: torch.dtype) -> None:
    """Store the convolutions' weights in a shorter type: autocast would convert frozen ones at every pass."""
    for convolution in frozen_convolutions(module):
        for node in convolution.args[1:3]:
            if isinstance(node, Node):
                set_value(module, node.target, value(module, node).to(dtype))


def frozen_convolutions(module: GraphModule) -> list[Node]:
    """The convolutions each of which alone reads its weights."""
    return [node for node in module.graph.nodes if _is_frozen_convolution(node)]


def _is_frozen_convolution(node: Node) -> bool:
    return _is(node, aten.conv2d.default) and all(
        _is_own(tensor) for tensor in node.args[1:3] if tensor is not None
    )


def arguments(node: Node, *defaults: Any) -> list[Any]:
    """The positional arguments of a call; defaults from the end of the list for those it leaves out."""
    return [*node.args, *defaults[len(node.args) :]]


def value(module: GraphModule, node: Node) -> Tensor:
    """The parameter or buffer that a node stands for."""
    found: Tensor = attrgetter(str(node.target))(module)
    return found


def set_value(module: GraphModule, name: Any, tensor: Tensor) -> None:
    """Put a frozen parameter in the place of another."""
    owner, _, last = str(name).rpartition(".")
    setattr(module.get_submodule(owner), last, nn.Parameter(tensor, requires_grad=False))


def _is(node: Any, *operations: Any) -> bool:
    return isinstance(node, Node) and node.op == "call_function" and node.target in operations


def _has_one_reader(node: Any) -> bool:
    return len(node.users) == 1


def _is_own(node: Any) -> bool:
    return isinstance(node, Node) and node.op == "get_attr" and _has_one_reader(node)


def _summands(node: Any) -> Iterator[Node]:
    """The convolutions whose sum the node is; none where there is more to it, or another reader."""
    if not isinstance(node, Node) or not _has_one_reader(node):
        return
    if _is_frozen_convolution(node):
        yield node
    elif _is(node, aten.add.Tensor) and not node.kwargs and node.args[0] is not node.args[1]:
        first, second = (list(_summands(term)) for term in node.args)
        if first and second:
            yield from (*first, *second)


def _scale(module: GraphModule, convolution: Node, scale: Tensor, shift: Tensor) -> None:
    """Change a convolution's weights so that it gives scale * output + shift."""
    x, weight, bias, *rest = arguments(convolution, *CONV2D)
    old = value(module, weight)
    offset = shift if bias is None else shift + value(module, bias).double() * scale
    set_value(module, weight.target, (old.double() * scale[:, None, None, None]).to(old.dtype))
    at = f"{convolution.name}_bias" if bias is None else bias.target
    set_value(module, at, offset.to(old.dtype))
    if bias is None:
        with module.graph.inserting_before(convolution):
            bias = module.graph.get_attr(at)
    convolution.args = (x, weight, bias, *rest)
