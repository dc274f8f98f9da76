"""The oneDNN backend: the convolutions of a frozen graph on a CPU, with prepacked weights and the ReLU fused.

PyTorch has no public interface to prepacked convolutions with a gradient, so this file calls private
operations (`torch.ops.mkldnn._*`). They are used nowhere else; `prepared.py` compares what they give with the
plain network.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.fx import GraphModule, Node

from atal_ray.inference.graph import CONV2D, arguments, aten, frozen_convolutions, value

mkldnn = torch.ops.mkldnn
Pair = list[int]


def can_pack(dtype: torch.dtype) -> bool:
    """Whether PyTorch has oneDNN here and, for bfloat16, the processor has instructions for it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(mkldnn._is_mkldnn_bf16_supported())


def pack_convolutions(module: GraphModule, batch: int, dtype: torch.dtype) -> None:
    """Replace the convolutions of a graph, each with the ReLU that alone reads it.

    Args:
        module: from `trace`, of float32.
        batch: images of the batches to come; other batches use weights that are not prepacked: slower.
        dtype: float32 or bfloat16, what they compute in.
    """
    for number, node in enumerate(frozen_convolutions(module)):
        readers = list(node.users)
        fused_relu = len(readers) == 1 and readers[0].target is aten.relu.default
        last = readers[0] if fused_relu else node
        packed = _packed(module, node, batch, dtype, fused_relu)
        module.add_submodule(f"packed{number}", packed)
        with module.graph.inserting_before(last):
            new = module.graph.call_module(f"packed{number}", (node.args[0],))
        new.meta = last.meta
        last.replace_all_uses_with(new)
        for gone in (last, node) if fused_relu else (node,):
            module.graph.erase_node(gone)
    module.graph.eliminate_dead_code()  # the weights
    module.delete_all_unused_submodules()
    module.recompile()


def _packed(
    module: GraphModule, node: Node, batch: int, dtype: torch.dtype, fused_relu: bool
) -> "PackedConvolution":
    source, kernel, shift, stride, padding, dilation, groups = arguments(node, *CONV2D)
    shape = [batch, *source.meta["shape"]]
    weight = value(module, kernel).detach().to(dtype)
    bias = None if shift is None else value(module, shift).detach().to(dtype)
    pairs = _pair(stride), _pair(padding), _pair(dilation)
    return PackedConvolution(weight, bias, *pairs, groups, fused_relu, shape)


def _pair(option: Any) -> Pair:
    return [*option] * (2 // len(option))


class PackedConvolution(nn.Module):
    """A convolution, and the ReLU after it where `fused_relu`, with a gradient of the input alone.

    PyTorch rearranges the weights for oneDNN's kernels at every call; here that is done once. With stride 1
    the gradient is a convolution too, of the output's gradient with the mirrored weights, which are
    rearranged at the first backward pass. oneDNN's ReLU turns NaN into 0.

    Args:
        weight: [O, I, h, w].
        bias: [O] or None.
        stride: of rows and columns.
        padding: of rows and columns.
        dilation: of rows and columns.
        groups: as in `conv2d`.
        fused_relu: whether a ReLU follows.
        shape: [B, I, H, W] of the inputs to come.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
        fused_relu: bool,
        shape: list[int],
    ) -> None:
        super().__init__()
        self.weight, self.bias = _channels_last(weight), bias
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.fused_relu, self.batch = fused_relu, shape[0]
        self.blocks = mkldnn._reorder_convolution_weight(
            self.weight, padding, stride, dilation, groups, shape
        )
        reach = [d * (side - 1) - p for side, p, d in zip(weight.shape[2:], padding, dilation, strict=True)]
        self.reach = reach if stride == [1, 1] and groups == 1 and min(reach) >= 0 else None
        self.mirrored: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, I, H, W] to [B, O, H', W']."""
        result: Tensor = _Convolve.apply(x.to(self.weight.dtype), self)  # type: ignore[no-untyped-call]
        return result

    def convolve(self, x: Tensor) -> Tensor:
        """`forward` without a gradient."""
        weight = self.blocks if len(x) == self.batch else self.weight
        after = "relu" if self.fused_relu else "none"
        return self._run(x, weight, self.bias, self.padding, self.stride, after)

    def gradient(self, gradient: Tensor, x: Tensor | None) -> Tensor:
        """Gradient of the input, given that of the output before the ReLU; x is read if `reach` is None."""
        if self.reach is None:
            shape = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups)
            wanted = [True, False, False]  # the gradient of the input, not of the weights
            result: Tensor = aten.convolution_backward(gradient, x, self.weight, None, *shape, wanted)[0]
            return result
        if self.mirrored is None:
            mirrored = _channels_last(self.weight.flip(2, 3).transpose(0, 1))
            size = [self.batch, *gradient.shape[1:]]
            packed = mkldnn._reorder_convolution_weight(mirrored, self.reach, [1, 1], self.dilation, 1, size)
            self.mirrored = mirrored, packed
        weight = self.mirrored[len(gradient) == self.batch]
        return self._run(gradient, weight, None, self.reach, [1, 1], "none")

    def _run(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, stride: Pair, after: str
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        result: Tensor = mkldnn._convolution_pointwise(
            x, weight, bias, padding, stride, self.dilation, self.groups, after, [], ""
        )
        return result


class _Convolve(torch.autograd.Function):
    """A packed convolution in autograd's graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: PackedConvolution) -> Tensor:
        result = convolution.convolve(x)
        ctx.convolution = convolution
        ctx.save_for_backward(
            x if convolution.reach is None else None, result if convolution.fused_relu else None
        )
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, result = ctx.saved_tensors
        if result is not None:
            gradient = aten.threshold_backward(gradient, result, 0)
        return ctx.convolution.gradient(gradient, x), None


def _channels_last(weight: Tensor) -> Tensor:
    """A copy in channels-last order, also where a side of 1 would let `contiguous` keep the other strides."""
    return torch.empty(weight.shape, dtype=weight.dtype, memory_format=torch.channels_last).copy_(weight)
