"""A network for other programs: TorchScript that takes pictures and gives saliency maps."""

import warnings

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from atal_ray.errors import CheckpointError
from atal_ray.networks.protocol import SaliencyNetwork

TOLERANCE = 1e-4
"""Largest difference of its logits, as a share of the largest."""


class Logits(nn.Module):
    """The prediction of a network for RGB in [0, 1], normalised here."""

    def __init__(self, network: SaliencyNetwork) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.std: Tensor
        self.own = type(network).normalise is not SaliencyNetwork.normalise
        for name, rgb in (("mean", network.mean), ("std", network.std)):  # which go along to a GPU
            self.register_buffer(name, torch.tensor(rgb).view(3, 1, 1), persistent=True)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, 3, S, S] to logits [B, 1, S, S]."""
        x = self.network.normalise(images) if self.own else (images - self.mean) / self.std
        output = self.network(x)
        logits: Tensor = output.logits[self.network.prediction]
        return logits


class ExportedNetwork(nn.Module):
    """Pictures of any size to saliency maps of that size.

    Args:
        logits: a traced `Logits`.
        size: S, the side that it was traced for.
    """

    def __init__(self, logits: nn.Module, size: int) -> None:
        super().__init__()
        self.logits, self.size = logits, size

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB pictures uint8 [B, 3, H, W] to saliency maps float32 [B, H, W] in [0, 1].

        They are resized bilinearly and rounded to whole levels, as the training reads them; the logits are
        resized to the picture before the sigmoid.
        """
        height, width = images.shape[2], images.shape[3]
        x = images.to(torch.float32)
        if height != self.size or width != self.size:
            x = functional.interpolate(x, [self.size, self.size], mode="bilinear", align_corners=False)
            x = x.round()
        found = self.logits(x / 255)
        resized = functional.interpolate(found, [height, width], mode="bilinear", align_corners=False)
        return torch.sigmoid(resized)[:, 0]


def exported(network: SaliencyNetwork, size: int) -> torch.jit.ScriptModule:
    """The network as TorchScript; see `ExportedNetwork`.

    Args:
        network: frozen, in evaluation mode, on the CPU.
        size: side of the square that it computes on.

    Raises:
        CheckpointError: its forward pass is no fixed sequence of operations.
    """
    with warnings.catch_warnings():
        # PyTorch would rather see torch.export; what that writes, fewer programs can load
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", TracerWarning)  # of the checks of the images' sides
        pictures = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        try:
            traced = torch.jit.trace(Logits(network), pictures)  # type: ignore[no-untyped-call]
            made: torch.jit.ScriptModule = torch.jit.script(ExportedNetwork(traced, size))
            others = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))
            found, expected = traced(others), Logits(network)(others)
        except Exception as error:  # a user's forward pass may raise anything
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(f"{type(network).__name__} cannot be exported: {reason}") from error
    if not float((found - expected).abs().max()) <= TOLERANCE * max(1.0, float(expected.abs().max())):
        name = type(network).__name__
        raise CheckpointError(f"{name} cannot be exported: what it does depends on the values of its images")
    return made
