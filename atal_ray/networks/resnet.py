"""ResNet-50 without its classifier, under torchvision's parameter names (He et al., CVPR 2016)."""

import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.config.training import StrideOn
from atal_ray.networks.backbone import Backbone, Levels

EXPANSION = 4


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 around a shortcut; `stride_on` says which of the first two strides."""

    def __init__(self, channels_in: int, width: int, stride: int, stride_on: StrideOn) -> None:
        super().__init__()
        channels_out = width * EXPANSION
        stride1, stride2 = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(channels_in, width, kernel_size=1, stride=stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels_out, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            projection = nn.Conv2d(channels_in, channels_out, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, 4 * width, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut, inplace=True)


class ResNet50(Backbone):
    """The four stages of 3, 4, 6 and 3 bottlenecks, 23,508,032 parameters.

    `stride_on` is "3x3" in torchvision and its published weights, "1x1" in the original paper and in Caffe's
    weights; the parameters have the same names and shapes.
    """

    channels = (64, 256, 512, 1024, 2048)

    def __init__(self, stride_on: StrideOn = "3x3") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, blocks=3, stride=1, stride_on=stride_on)
        self.layer2 = _stage(256, 128, blocks=4, stride=2, stride_on=stride_on)
        self.layer3 = _stage(512, 256, blocks=6, stride=2, stride_on=stride_on)
        self.layer4 = _stage(1024, 512, blocks=3, stride=2, stride_on=stride_on)

    def forward(self, x: Tensor) -> Levels:
        """Compute the stem (after its ReLU, before the max-pool) and four stages of images [B, 3, H, W]."""
        stem = F.relu(self.bn1(self.conv1(x)), inplace=True)
        stage1 = self.layer1(F.max_pool2d(stem, kernel_size=3, stride=2, padding=1))
        stage2 = self.layer2(stage1)
        stage3 = self.layer3(stage2)
        return Levels(stem, stage1, stage2, stage3, self.layer4(stage3))


def _stage(channels_in: int, width: int, *, blocks: int, stride: int, stride_on: StrideOn) -> nn.Sequential:
    first = Bottleneck(channels_in, width, stride, stride_on)
    rest = (Bottleneck(width * EXPANSION, width, 1, stride_on) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
