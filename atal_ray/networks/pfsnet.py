"""PFSNet: pyramidal feature shrinking for salient object detection (Ma, Xia, Li; AAAI 2021)."""

from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.config import NetworkConfig
from atal_ray.networks.backbone import Backbone, Levels
from atal_ray.networks.layers import conv3x3, conv_bn_relu, initialise, resize_as
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.networks.registry import register
from atal_ray.networks.resnet import ResNet50

_resize_as = partial(resize_as, align_corners=True)


class ScaleAwareEnrichment(nn.Module):
    """Scale-aware enrichment module (SEM; Rblock in the published code): a level with its dilated context."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        self.squeeze1 = conv_bn_relu(channels_in, width, dilation=2)
        self.squeeze2 = conv_bn_relu(channels_in, width)
        self.convg = nn.Conv2d(2 * width, 2 * width, kernel_size=1)
        self.convAB = conv3x3(2 * width, width)
        self.bnAB = nn.BatchNorm2d(width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Squeeze a level [B, C, h, w] with context of its shape; also new context, both [B, width, h, w]."""
        z = self.squeeze1(x if context is None else x + context)
        both = _attend(torch.cat((self.squeeze2(x), z), dim=1), self.convg)
        return F.relu(self.bnAB(self.convAB(both)), inplace=True), z


class AdjacentFusion(nn.Module):
    """Adjacent fusion module (AFM; Yblock in the published code): two neighbours become one by a product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convA1 = conv3x3(width, width)
        self.bnA1 = nn.BatchNorm2d(width)
        self.convB1 = conv3x3(width, width)
        self.bnB1 = nn.BatchNorm2d(width)
        self.convAB = conv3x3(2 * width, width)
        self.bnAB = nn.BatchNorm2d(width)
        self.convg = nn.Conv2d(2 * width, 2 * width, kernel_size=1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fuse maps [B, width, h, w], of which the coarser `y` is resized to `x`, into one of `x`'s size."""
        y = _resize_as(y, x)
        fused = x * y
        xx = F.relu(self.bnA1(self.convA1(fused + x)), inplace=True)
        yy = F.relu(self.bnB1(self.convB1(fused + y)), inplace=True)
        both = _attend(torch.cat((xx, yy), dim=1), self.convg)
        return F.relu(self.bnAB(self.convAB(both)), inplace=True)


@register("pfsnet")
class PFSNet(SaliencyNetwork):
    """PFSNet under the parameter names of its published weights; on ResNet-50 it has 31,180,161 parameters.

    Args:
        backbone: where the levels come from; a ResNet-50 unless given.
        width: channels of the pyramid, and of the features.
    """

    loss_weights = (1.0,)
    prediction = 0
    mean = (124.55 / 255, 118.90 / 255, 102.94 / 255)
    std = (56.77 / 255, 55.97 / 255, 57.50 / 255)
    backbone_prefix = "bkbone."
    stem_prefixes = ("bkbone.conv1.", "bkbone.bn1.")
    head_name = "linearp1"

    def __init__(self, backbone: Backbone | None = None, width: int = 64) -> None:
        super().__init__()
        self.feature_channels = width
        self.bkbone = backbone if backbone is not None else ResNet50()
        c1, c2, c3, c4, c5 = self.bkbone.channels
        self.squeeze5 = ScaleAwareEnrichment(c5, width)
        self.squeeze4 = ScaleAwareEnrichment(c4, width)
        self.squeeze3 = ScaleAwareEnrichment(c3, width)
        self.squeeze2 = ScaleAwareEnrichment(c2, width)
        self.squeeze1 = ScaleAwareEnrichment(c1, width)
        self.conv1, self.bn1 = conv3x3(width, c4), nn.BatchNorm2d(c4)
        self.conv2, self.bn2 = conv3x3(width, c3), nn.BatchNorm2d(c3)
        self.conv3, self.bn3 = conv3x3(width, c2), nn.BatchNorm2d(c2)
        self.conv4, self.bn4 = conv3x3(width, c1), nn.BatchNorm2d(c1)
        self.Y11 = AdjacentFusion(width)
        self.Y12 = AdjacentFusion(width)
        self.Y13 = AdjacentFusion(width)
        self.Y14 = AdjacentFusion(width)
        self.Y21 = AdjacentFusion(width)
        self.Y22 = AdjacentFusion(width)
        self.Y23 = AdjacentFusion(width)
        self.Y31 = AdjacentFusion(width)
        self.Y32 = AdjacentFusion(width)
        self.Y41 = AdjacentFusion(width)
        self.linearp1 = conv3x3(width, 1)
        initialise(self)

    @classmethod
    def from_config(cls, config: NetworkConfig) -> Self:
        """Build PFSNet on a ResNet-50 that strides where the configuration says."""
        return cls(ResNet50(config.stride_on), config.width or 64)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, H, W]; features are the input of `linearp1`, stride 2."""
        return self.whole(x)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The squeezed levels, strides 2 to 32."""
        self.check_sides(x)
        return self._squeeze(self.bkbone(x))

    def decode(self, levels: tuple[Tensor, ...], x: Tensor) -> SaliencyOutput:
        """Fuse neighbouring levels until one is left, and the head."""
        s1, s2, s3, s4, s5 = levels
        t2, t3, t4, t5 = self.Y11(s1, s2), self.Y12(s2, s3), self.Y13(s3, s4), self.Y14(s4, s5)
        u2, u3, u4 = self.Y21(t2, t3), self.Y22(t3, t4), self.Y23(t4, t5)
        v3, v4 = self.Y31(u2, u3), self.Y32(u3, u4)
        features = self.Y41(v3, v4)
        return SaliencyOutput((_resize_as(self.linearp1(self.drop(features)), x),), features)

    def _squeeze(self, levels: Levels) -> Levels:
        """Squeeze the levels from the coarsest to the finest, each with context of the coarser ones."""
        s1, s2, s3, s4, s5 = levels
        s5, z = self.squeeze5(s5)
        s4, z = self.squeeze4(s4, F.relu(self.bn1(self.conv1(_resize_as(z, s4))), inplace=True))
        s3, z = self.squeeze3(s3, F.relu(self.bn2(self.conv2(_resize_as(z, s3))), inplace=True))
        s2, z = self.squeeze2(s2, F.relu(self.bn3(self.conv3(_resize_as(z, s2))), inplace=True))
        s1, _ = self.squeeze1(s1, F.relu(self.bn4(self.conv4(_resize_as(z, s1))), inplace=True))
        return Levels(s1, s2, s3, s4, s5)


def _attend(x: Tensor, gate: nn.Conv2d) -> Tensor:
    """Weight the C channels of `x` by C softmax(gate(their means))."""
    scores = gate(x.mean(dim=(2, 3), keepdim=True))
    return x * torch.softmax(scores, dim=1) * x.shape[1]
