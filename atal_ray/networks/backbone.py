"""What a decoder needs from a backbone: five maps, each half the size of the one before."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn


class Levels(NamedTuple):
    """The maps of a backbone, [B, C, H / stride, W / stride] each."""

    stem: Tensor
    """Stride 2."""
    stage1: Tensor
    """Stride 4."""
    stage2: Tensor
    """Stride 8."""
    stage3: Tensor
    """Stride 16."""
    stage4: Tensor
    """Stride 32."""


class Backbone(nn.Module, ABC):
    """Base class of the backbones."""

    channels: ClassVar[tuple[int, int, int, int, int]]
    """Channels of the five levels, the stem first."""

    @abstractmethod
    def forward(self, x: Tensor) -> Levels:
        """Compute the five levels of normalised images [B, 3, H, W]."""
