"""The plain backend: the network itself, in evaluation mode with frozen weights."""

import copy

import torch
from torch import Tensor, nn

from atal_ray.networks.protocol import SaliencyNetwork


class Answer(nn.Module):
    """The two outputs of a network that a query uses: the logits of its prediction, and its features."""

    def __init__(self, network: SaliencyNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised images [B, 3, H, W] to logits [B, 1, H, W] and features [B, C, h, w]."""
        output = self.network(x)
        return output.logits[self.network.prediction], output.features


def plain_answer(network: SaliencyNetwork, dtype: torch.dtype = torch.float32) -> Answer:
    """A copy of the network in evaluation mode with frozen weights.

    Args:
        network: stays as it is.
        dtype: bfloat16 stores the convolutions' weights in it; autocast would convert them at every pass.
    """
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    frozen.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if dtype == torch.bfloat16:
        for module in frozen.modules():
            if type(module) is nn.Conv2d:
                module.to(dtype)
    return Answer(frozen)
