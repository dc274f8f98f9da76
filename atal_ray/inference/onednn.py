"""Convolutions of a frozen graph on a CPU: weights as oneDNN reads them, and the ReLU in the same step."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.fx import GraphModule, Node

from atal_ray.inference.graph import CONV2D, arguments, aten, frozen_convolutions, value

mkldnn = torch.ops.mkldnn
Pair = list[int]


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this machine's oneDNN has float32, or bfloat16 that it does not imitate."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(mkldnn._is_mkldnn_bf16_supported())


def pack_convolutions(module: GraphModule, batch: int, dtype: torch.dtype) -> None:
    """Replace the convolutions of a graph, each with the ReLU that alone reads it.

    Args:
        module: from `trace`, of float32.
        batch: images of the batches to come; others find the weights as they are, which is slower.
        dtype: float32 or bfloat16, what they compute in.
    """
    for number, node in enumerate(frozen_convolutions(module)):
        readers = list(node.users)
        rectified = len(readers) == 1 and readers[0].target is aten.relu.default
        last = readers[0] if rectified else node
        packed = _packed(module, node, batch, dtype, rectified)
        module.add_submodule(f"packed{number}", packed)
        with module.graph.inserting_before(last):
            new = module.graph.call_module(f"packed{number}", (node.args[0],))
        new.meta = last.meta
        last.replace_all_uses_with(new)
        for gone in (last, node) if rectified else (node,):
            module.graph.erase_node(gone)
    module.graph.eliminate_dead_code()  # the weights
    module.delete_all_unused_submodules()
    module.recompile()


def _packed(
    module: GraphModule, node: Node, batch: int, dtype: torch.dtype, rectified: bool
) -> "PackedConvolution":
    source, kernel, shift, stride, padding, dilation, groups = arguments(node, *CONV2D)
    shape = [batch, *(int(side) for side in source.meta["val"].shape[1:])]
    weight, bias = (
        value(module, kernel).detach().to(dtype),
        None if shift is None else value(module, shift).detach().to(dtype),
    )
    return PackedConvolution(
        weight, bias, _pair(stride), _pair(padding), _pair(dilation), groups, rectified, shape
    )


def _pair(option: Any) -> Pair:
    return [*option] * (2 // len(option))


class PackedConvolution(nn.Module):
    """A convolution, and max(0, .) of it where `rectified`, that is differentiable in its input alone.

    At each call PyTorch arranges the weights in the blocks that oneDNN's kernels read; here that is done
    once. With stride 1 the gradient is a convolution as well, of the gradient with the mirrored weights,
    which are arranged at the first backward pass. oneDNN's ReLU gives 0 for what is not a number.

    Args:
        weight: [O, I, h, w].
        bias: [O] or None.
        stride: of rows and columns.
        padding: of rows and columns.
        dilation: of rows and columns.
        groups: as in `conv2d`.
        rectified: whether a ReLU follows.
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
        rectified: bool,
        shape: list[int],
    ) -> None:
        super().__init__()
        self.weight, self.bias = _channels_last(weight), bias
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.rectified, self.batch = rectified, shape[0]
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
        return self._run(
            x, weight, self.bias, self.padding, self.stride, "relu" if self.rectified else "none"
        )

    def gradient(self, gradient: Tensor, x: Tensor | None) -> Tensor:
        """Of the input, from that of what the convolution gives before its ReLU; x is needed only where
        `reach` is None.
        """
        if self.reach is None:
            options = (
                self.stride,
                self.padding,
                self.dilation,
                False,
                [0, 0],
                self.groups,
                [True, False, False],
            )
            result: Tensor = aten.convolution_backward(gradient, x, self.weight, None, *options)[0]
            return result
        if self.mirrored is None:
            mirrored = _channels_last(self.weight.flip(2, 3).transpose(0, 1))
            shape = [self.batch, *gradient.shape[1:]]
            self.mirrored = (
                mirrored,
                mkldnn._reorder_convolution_weight(mirrored, self.reach, [1, 1], self.dilation, 1, shape),
            )
        return self._run(
            gradient, self.mirrored[len(gradient) == self.batch], None, self.reach, [1, 1], "none"
        )

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
            x if convolution.reach is None else None, result if convolution.rectified else None
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
    """A copy whose strides say so, even where a side of 1 leaves it open."""
    return torch.empty(weight.shape, dtype=weight.dtype, memory_format=torch.channels_last).copy_(weight)
