"""F3Net's decoder on a light backbone, for machines without a GPU."""

from typing import Self

from torch import nn

from atal_ray.config import NetworkConfig
from atal_ray.networks.f3net import F3Net
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.registry import register


@register("f3net-small")
class F3NetSmall(F3Net):
    """F3Net of width 16 on `LightBackbone`: 370,358 parameters, random at first, all with the head's rate."""

    backbone_prefix = ""
    stem_prefixes = ()

    def __init__(self, width: int = 16) -> None:
        super().__init__(LightBackbone(), width=width)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.3  # PyTorch's 0.1 leaves stale statistics after some dozen steps

    @classmethod
    def from_config(cls, config: NetworkConfig) -> Self:
        """Build the network; of NetworkConfig only the width counts."""
        return cls(config.width or 16)
