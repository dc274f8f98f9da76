"""A module that trains beside a network on the maps between its encoder and decoder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

PREFIX = "beside."
"""Before the keys of its weights in a snapshot."""
_SIDE = 64


class Beside(nn.Module, ABC):
    """Base of such a module; its weights are part of the network's snapshots, and trained by its optimiser.

    Args:
        channels: of the levels that it gets: those of the network, or its features where it names none.
        settings: of the plug-in that brings it.
    """

    prediction: int = 0
    """Which of the network's logits are the saliency map."""

    def __init__(self, channels: Sequence[int], settings: Any = None) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, levels: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Maps [B, E, h, w] for levels [B, C, h, w] of normalised images [B, 3, H, W]."""

    @abstractmethod
    def loss(self, maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """What is added to the network's loss, a scalar.

        Args:
            maps: its own output.
            logits: the saliency map before the sigmoid [B, 1, H, W].
            targets: [B, H, W]: labels in uint8, 255 where unknown; or full masks in floating point.
        """

    def begin_epoch(self, done: float) -> None:
        """Called before each epoch with the share of the network's epochs that are done."""


def attach(network: SaliencyNetwork, kind: type[Beside], settings: Any = None) -> None:
    """Put a module beside a network: every pass gives its maps too."""
    network.beside = kind([maps.shape[1] for maps in _levels(network)], settings)
    network.beside.prediction = network.prediction
    network.register_forward_hook(_add)


def _add(network: SaliencyNetwork, inputs: tuple[Tensor, ...], output: SaliencyOutput) -> SaliencyOutput:
    assert network.beside is not None
    return output._replace(beside=network.beside(output.levels or (output.features,), inputs[0]))


@torch.no_grad()
def _levels(network: SaliencyNetwork) -> tuple[Tensor, ...]:
    """The levels of a small image, for their channels."""
    training, side = network.training, -(-_SIDE // network.multiple) * network.multiple
    parameter = next(network.parameters())
    output: SaliencyOutput = network.eval()(parameter.new_zeros(1, 3, side, side))
    network.train(training)
    return output.levels or (output.features,)
