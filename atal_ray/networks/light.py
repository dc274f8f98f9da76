"""A light residual backbone that trains from random weights on a CPU."""

import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.networks.backbone import Backbone, Levels
from atal_ray.networks.layers import conv_bn_relu


class ResidualStage(nn.Module):
    """A strided convolution and one residual block at half the size."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(channels_in, channels_out, stride=2, bias=False)
        self.conv = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', H / 2, W / 2]."""
        x = self.reduce(x)
        return F.relu(x + self.bn(self.conv(x)), inplace=True)


class LightBackbone(Backbone):
    """Five levels of 16 to 96 channels, 252,560 parameters."""

    channels = (16, 32, 48, 64, 96)

    def __init__(self) -> None:
        super().__init__()
        stem, *widths = self.channels
        self.stem = conv_bn_relu(3, stem, stride=2, bias=False)
        self.stages = nn.ModuleList(
            ResidualStage(*pair) for pair in zip((stem, *widths), widths, strict=False)
        )

    def forward(self, x: Tensor) -> Levels:
        """Compute the five levels of normalised images [B, 3, H, W]."""
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return Levels(*maps)
