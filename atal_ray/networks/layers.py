"""Building blocks that the networks share."""

import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.networks.bilinear import bilinear as bilinear  # a benchmark puts another in its place


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution with bias that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


def conv_bn_relu(
    channels_in: int,
    channels_out: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm and ReLU; padded so that stride 1 keeps the size."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(
        channels_in, channels_out, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias
    )
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def resize_as(x: Tensor, target: Tensor, *, align_corners: bool = False) -> Tensor:
    """Resize maps to the height and width of `target`, bilinear between pixel centres or, aligned, between
    corner pixels.
    """
    if x.shape[-2:] == target.shape[-2:]:
        return x
    if x.is_cuda:
        return bilinear(x, (target.shape[-2], target.shape[-1]), align_corners=align_corners)
    return F.interpolate(x, size=target.shape[-2:], mode="bilinear", align_corners=align_corners)


def initialise(network: nn.Module) -> None:
    """F3Net's initialisation: Kaiming normal convolutions (fan in, ReLU), zero biases, unit batch norms."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
