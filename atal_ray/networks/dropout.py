"""Dropout of whole channels, in training and, with draws that are given, in a query by MC dropout."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.functional import dropout2d

from atal_ray.errors import ConfigError
from atal_ray.networks.protocol import SaliencyNetwork


class ChannelDropout(nn.Module):
    """Each channel of each image is 0 with the chance `rate`, and otherwise divided by 1 - rate.

    In training the draws are PyTorch's; in evaluation it changes nothing unless `draw` is set.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.draw: Callable[[int], Tensor] | None = None
        """Uniform numbers [B, C] for C channels."""

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, C, h, w] with channels left out."""
        if self.training:
            return dropout2d(maps, self.rate)
        if self.draw is None:
            return maps
        kept = (self.draw(maps.shape[1]) >= self.rate).to(maps) / (1 - self.rate)
        return maps * kept[:, :, None, None]


def add_dropout(network: SaliencyNetwork, rate: float, name: str) -> None:
    """Let a network drop channels of its levels, and of what its heads see; it has no parameter.

    Args:
        network: gets the module.
        rate: chance of a channel to be left out.
        name: of the network, for the error.

    Raises:
        ConfigError: it has no `encode` and `decode`, between which channels are dropped.
    """
    if not network.splits:
        raise ConfigError(
            f"network.dropout is {rate:g}, but {name} has no encode and decode, between which channels are "
            "dropped: write them (see atal_ray.networks.SaliencyNetwork), or set network.dropout 0"
        )
    network.dropping = ChannelDropout(rate).train(network.training)


@contextmanager
def drawing(network: SaliencyNetwork, draw: Callable[[int], Tensor]) -> Iterator[None]:
    """Let a network in evaluation mode drop channels by draws that are given, in the block alone.

    Args:
        network: one with dropout.
        draw: channels C -> uniform numbers [B, C] for the images of a batch.
    """
    dropping = network.dropping
    assert dropping is not None
    dropping.draw = draw
    try:
        yield
    finally:
        dropping.draw = None
