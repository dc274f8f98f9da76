"""MINet: multi-scale interactive network for salient object detection (Pang, Zhao, Zhang, Lu; CVPR 2020)."""

from collections import OrderedDict
from types import MappingProxyType
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.config import NetworkConfig
from atal_ray.errors import DataError
from atal_ray.networks.backbone import Backbone, Levels
from atal_ray.networks.layers import conv3x3, conv_bn_relu, resize_as
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.networks.registry import register
from atal_ray.networks.resnet import ResNet50

SMALLEST = 64


class Interaction(nn.Module):
    """Branches h, m and l, of high, middle and low resolution, that send maps to each other in steps.

    Names follow the published weights: the convolution `h2m_1` leads from h to m in step 1, and `bnm_1` is
    the batch norm of all that m receives there.
    """

    def connect(self, target: str, width: int, **sources: int) -> None:
        """Add the layers that lead to `target`, such as "m_1": a 3x3 convolution for each source."""
        for source, channels in sources.items():
            self.add_module(f"{source}2{target}", conv3x3(channels, width))
        self.add_module(f"bn{target}", nn.BatchNorm2d(width))

    def merge(self, target: str, **sources: Tensor) -> Tensor:
        """Normalise the sum of the convolved sources, maps of the same size [B, C, h, w]."""
        first, *others = (getattr(self, f"{source}2{target}")(x) for source, x in sources.items())
        merged: Tensor = getattr(self, f"bn{target}")(sum(others, start=first))
        return merged

    def join(self, target: str, **sources: Tensor) -> Tensor:
        """`merge` and ReLU."""
        return F.relu(self.merge(target, **sources), inplace=True)


class AggregateHigh(Interaction):
    """Aggregate interaction module (AIM) of the finest level, which keeps the branch h of two."""

    def __init__(self, high: int, low: int, width: int) -> None:
        super().__init__()
        mid = min(high, low)
        self.connect("h_0", mid, h=high)
        self.connect("l_0", mid, l=low)
        self.connect("h_1", mid, h=mid, l=mid)
        self.connect("l_1", mid, h=mid, l=mid)
        self.connect("h_2", mid, h=mid, l=mid)
        self.connect("h_3", width, h=mid)
        self.identity = nn.Conv2d(high, width, kernel_size=1)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Aggregate maps [B, C, h, w] and [B, C', h / 2, w / 2] to [B, width, h, w]."""
        h0, l0 = self.join("h_0", h=high), self.join("l_0", l=low)
        h1 = self.join("h_1", h=h0, l=_up(l0))
        l1 = self.join("l_1", h=_down(h0), l=l0)
        h2 = self.join("h_2", h=h1, l=_up(l1))
        return F.relu(self.merge("h_3", h=h2) + self.identity(high), inplace=True)


class AggregateMiddle(Interaction):
    """AIM of a level between two others, which keeps the branch m of three."""

    def __init__(self, high: int, middle: int, low: int, width: int) -> None:
        super().__init__()
        mid = min(high, middle, low)
        self.connect("h_0", mid, h=high)
        self.connect("m_0", mid, m=middle)
        self.connect("l_0", mid, l=low)
        self.connect("h_1", mid, h=mid, m=mid)
        self.connect("m_1", mid, h=mid, m=mid, l=mid)
        self.connect("l_1", mid, m=mid, l=mid)
        self.connect("m_2", mid, h=mid, m=mid, l=mid)
        self.connect("m_3", width, m=mid)
        self.identity = nn.Conv2d(middle, width, kernel_size=1)

    def forward(self, high: Tensor, middle: Tensor, low: Tensor) -> Tensor:
        """Aggregate maps [B, C, 2h, 2w], [B, C', h, w] and [B, C'', h / 2, w / 2] to [B, width, h, w]."""
        h0, m0, l0 = self.join("h_0", h=high), self.join("m_0", m=middle), self.join("l_0", l=low)
        h1 = self.join("h_1", h=h0, m=_up(m0))
        m1 = self.join("m_1", h=_down(h0), m=m0, l=_up(l0))
        l1 = self.join("l_1", m=_down(m0), l=l0)
        m2 = self.join("m_2", h=_down(h1), m=m1, l=_up(l1))
        return F.relu(self.merge("m_3", m=m2) + self.identity(middle), inplace=True)


class AggregateLow(Interaction):
    """AIM of the coarsest level, which keeps the branch l of two."""

    def __init__(self, high: int, low: int, width: int) -> None:
        super().__init__()
        mid = min(high, low)
        self.connect("h_0", mid, h=high)
        self.connect("l_0", mid, l=low)
        self.connect("h_1", mid, h=mid, l=mid)
        self.connect("l_1", mid, h=mid, l=mid)
        self.connect("l_2", mid, h=mid, l=mid)
        self.connect("l_3", width, l=mid)
        self.identity = nn.Conv2d(low, width, kernel_size=1)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Aggregate maps [B, C, 2h, 2w] and [B, C', h, w] to [B, width, h, w]."""
        h0, l0 = self.join("h_0", h=high), self.join("l_0", l=low)
        h1 = self.join("h_1", h=h0, l=_up(l0))
        l1 = self.join("l_1", h=_down(h0), l=l0)
        l2 = self.join("l_2", h=_down(h1), l=l1)
        return F.relu(self.merge("l_3", l=l2) + self.identity(low), inplace=True)


class Aggregates(nn.Module):
    """The five AIMs, each of which sees a level of the backbone and its neighbours."""

    def __init__(self, channels: tuple[int, int, int, int, int], width: int) -> None:
        super().__init__()
        self.conv0 = AggregateHigh(*channels[:2], width)
        self.conv1 = AggregateMiddle(*channels[:3], width)
        self.conv2 = AggregateMiddle(*channels[1:4], width)
        self.conv3 = AggregateMiddle(*channels[2:], width)
        self.conv4 = AggregateLow(*channels[3:], width)

    def forward(self, x: Levels) -> Levels:
        """Aggregate the levels of a backbone into levels of equal width."""
        return Levels(
            self.conv0(*x[:2]),
            self.conv1(*x[:3]),
            self.conv2(*x[1:4]),
            self.conv3(*x[2:]),
            self.conv4(*x[3:]),
        )


class SelfInteraction(Interaction):
    """Self-interaction module (SIM): a map and its half-size copy of `narrow` channels exchange maps."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.connect("h_0", width, h=width)
        self.connect("l_0", narrow, h=width)
        self.connect("h_1", width, h=width, l=narrow)
        self.connect("l_1", narrow, h=width, l=narrow)
        self.connect("h_2", width, h=width, l=narrow)

    def forward(self, x: Tensor) -> Tensor:
        """Refine maps [B, width, h, w]."""
        h0, l0 = self.join("h_0", h=x), self.join("l_0", h=_down(x))
        h1 = self.join("h_1", h=h0, l=resize_as(l0, h0))
        l1 = self.join("l_1", h=_down(h0), l=l0)
        h2 = self.join("h_2", h=h1, l=resize_as(l1, h1))
        return h2 + x


@register("minet")
class MINet(SaliencyNetwork):
    """MINet under the parameter names of its published weights, except the backbone's.

    On ResNet-50 it has 162,378,305 parameters; those outside the backbone start as PyTorch initialises them.

    Args:
        backbone: where the levels come from; a ResNet-50 unless given.
        width: channels of the decoder, of which the last two blocks, and so the features, have half.
    """

    loss_weights = (1.0,)
    prediction = 0
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    backbone_prefix = "bkbone."
    stem_prefixes = ("bkbone.conv1.", "bkbone.bn1.")
    head_name = "classifier"
    published_prefixes = MappingProxyType(
        {
            "div_2.0.": "bkbone.conv1.",
            "div_2.1.": "bkbone.bn1.",
            "div_4.1.": "bkbone.layer1.",
            "div_8.": "bkbone.layer2.",
            "div_16.": "bkbone.layer3.",
            "div_32.": "bkbone.layer4.",
        }
    )

    def __init__(self, backbone: Backbone | None = None, width: int = 64) -> None:
        super().__init__()
        self.feature_channels = narrow = width // 2
        self.bkbone = backbone if backbone is not None else ResNet50()
        self.trans = Aggregates(self.bkbone.channels, width)
        self.sim32 = SelfInteraction(width, narrow)
        self.sim16 = SelfInteraction(width, narrow)
        self.sim8 = SelfInteraction(width, narrow)
        self.sim4 = SelfInteraction(width, narrow)
        self.sim2 = SelfInteraction(width, narrow)
        self.upconv32 = _upconv(width, width)
        self.upconv16 = _upconv(width, width)
        self.upconv8 = _upconv(width, width)
        self.upconv4 = _upconv(width, width)
        self.upconv2 = _upconv(width, narrow)
        self.upconv1 = _upconv(narrow, narrow)
        self.classifier = nn.Conv2d(narrow, 1, kernel_size=1)

    @classmethod
    def from_config(cls, config: NetworkConfig) -> Self:
        """Build MINet on a ResNet-50 that strides where the configuration says."""
        return cls(ResNet50(config.stride_on), config.width or 64)

    def check_sides(self, x: Tensor) -> None:
        """Raise DataError also for sides whose coarsest level a SIM could not halve."""
        super().check_sides(x)
        if min(x.shape[-2:]) < SMALLEST:
            height, width = x.shape[-2:]
            raise DataError(
                f"images are {width}x{height} px: MINet needs sides of at least {SMALLEST}, resize them first"
            )

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, H, W]; features are the input of `classifier`, full size."""
        return self.whole(x)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The aggregated levels, strides 2 to 32."""
        self.check_sides(x)
        levels: Levels = self.trans(self.bkbone(x))
        return levels

    def decode(self, levels: tuple[Tensor, ...], x: Tensor) -> SaliencyOutput:
        """Self-interaction at each level, from the coarsest to the finest, and the classifier."""
        a2, a4, a8, a16, a32 = levels
        f32 = self.upconv32(self.sim32(a32))
        f16 = self.upconv16(self.sim16(a16 + resize_as(f32, a16)))
        f8 = self.upconv8(self.sim8(a8 + resize_as(f16, a8)))
        f4 = self.upconv4(self.sim4(a4 + resize_as(f8, a4)))
        f2 = self.upconv2(self.sim2(a2 + resize_as(f4, a2)))
        f1 = self.upconv1(resize_as(f2, x))
        return SaliencyOutput((self.classifier(self.drop(f1)),), f1)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def _down(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, kernel_size=2)


def _upconv(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(basicconv=conv_bn_relu(channels_in, channels_out, bias=False)))
