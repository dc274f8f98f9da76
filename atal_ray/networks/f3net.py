"""F3Net: fusion, feedback and focus for salient object detection (Wei, Wang, Huang; AAAI 2020)."""

from typing import NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.config import NetworkConfig
from atal_ray.networks.backbone import Backbone
from atal_ray.networks.layers import conv3x3, conv_bn_relu, initialise, resize_as
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.networks.registry import register
from atal_ray.networks.resnet import ResNet50


class Pyramid(NamedTuple):
    """Maps of equal width at strides 4, 8, 16 and 32."""

    level2: Tensor
    level3: Tensor
    level4: Tensor
    level5: Tensor


class CrossFeature(nn.Module):
    """Cross feature module (CFM): two branches of four convolutions that meet in a product.

    Names follow the published weights: h is the branch of the finer map `left`, v that of the coarser map
    `down`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        for branch in "hv":
            for step in range(1, 5):
                self.add_module(f"conv{step}{branch}", conv3x3(width, width))
                self.add_module(f"bn{step}{branch}", nn.BatchNorm2d(width))

    def _step(self, name: str, x: Tensor) -> Tensor:
        conv, bn = getattr(self, f"conv{name}"), getattr(self, f"bn{name}")
        return F.relu(bn(conv(x)), inplace=True)

    def forward(self, left: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse maps [B, width, h, w], `down` resized to `left`, into two refined maps of `left`'s size."""
        h1, v1 = self._step("1h", left), self._step("1v", resize_as(down, left))
        fused = self._step("2h", h1) * self._step("2v", v1)
        h3 = self._step("3h", fused) + h1
        v3 = self._step("3v", fused) + v1
        return self._step("4h", h3), self._step("4v", v3)


class Decoder(nn.Module):
    """One pass of the cascaded feedback decoder (CFD), from the coarsest level to the finest."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cfm45 = CrossFeature(width)
        self.cfm34 = CrossFeature(width)
        self.cfm23 = CrossFeature(width)

    def forward(self, maps: Pyramid, feedback: Tensor | None = None) -> tuple[Pyramid, Tensor]:
        """Refine the pyramid plus `feedback` [B, width, h, w]; also return the features at stride 4."""
        if feedback is not None:
            maps = Pyramid(*(level + resize_as(feedback, level) for level in maps))
        level4, down = self.cfm45(maps.level4, maps.level5)
        level3, down = self.cfm34(maps.level3, down)
        level2, features = self.cfm23(maps.level2, down)
        return Pyramid(level2, level3, level4, maps.level5), features


@register("f3net")
class F3Net(SaliencyNetwork):
    """F3Net under the parameter names of its published weights; on ResNet-50 it has 25,536,710 parameters.

    Logits are (p1, p2, r2, r3, r4, r5): the two decoder passes, then the refined levels from fine to coarse.

    Args:
        backbone: where the pyramid comes from; a ResNet-50 unless given.
        width: channels of the decoder, and of the features.
    """

    loss_weights = (1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
    prediction = 1
    mean = (124.55 / 255, 118.90 / 255, 102.94 / 255)
    std = (56.77 / 255, 55.97 / 255, 57.50 / 255)
    backbone_prefix = "bkbone."
    stem_prefixes: tuple[str, ...] = ("bkbone.conv1.", "bkbone.bn1.")
    head_name = "linearp2"

    def __init__(self, backbone: Backbone | None = None, width: int = 64) -> None:
        super().__init__()
        self.feature_channels = width
        self.bkbone = backbone if backbone is not None else ResNet50()
        _, *channels = self.bkbone.channels
        self.squeeze5 = conv_bn_relu(channels[3], width, kernel=1)
        self.squeeze4 = conv_bn_relu(channels[2], width, kernel=1)
        self.squeeze3 = conv_bn_relu(channels[1], width, kernel=1)
        self.squeeze2 = conv_bn_relu(channels[0], width, kernel=1)
        self.decoder1 = Decoder(width)
        self.decoder2 = Decoder(width)
        self.linearp1 = conv3x3(width, 1)
        self.linearp2 = conv3x3(width, 1)
        self.linearr2 = conv3x3(width, 1)
        self.linearr3 = conv3x3(width, 1)
        self.linearr4 = conv3x3(width, 1)
        self.linearr5 = conv3x3(width, 1)
        initialise(self)

    @classmethod
    def from_config(cls, config: NetworkConfig) -> Self:
        """Build F3Net on a ResNet-50 that strides where the configuration says."""
        return cls(ResNet50(config.stride_on), config.width or 64)

    def forward(self, x: Tensor) -> SaliencyOutput:
        """Predict from normalised images [B, 3, H, W]; features are the input of `linearp2`, stride 4."""
        return self.whole(x)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """The squeezed pyramid, strides 4 to 32."""
        self.check_sides(x)
        _, stage1, stage2, stage3, stage4 = self.bkbone(x)
        return Pyramid(
            self.squeeze2(stage1), self.squeeze3(stage2), self.squeeze4(stage3), self.squeeze5(stage4)
        )

    def decode(self, levels: tuple[Tensor, ...], x: Tensor) -> SaliencyOutput:
        """Two passes of the decoder, and six heads."""
        refined, first = self.decoder1(Pyramid(*levels))
        refined, second = self.decoder2(refined, feedback=first)
        heads = (
            self.linearp1(self.drop(first)),
            self.linearp2(self.drop(second)),
            self.linearr2(self.drop(refined.level2)),
            self.linearr3(self.drop(refined.level3)),
            self.linearr4(self.drop(refined.level4)),
            self.linearr5(self.drop(refined.level5)),
        )
        return SaliencyOutput(tuple(resize_as(head, x) for head in heads), second)
