import math
from typing import Any

import pytest
import torch

from atal_ray.networks.layers import conv3x3, conv_bn_relu, initialise, resize_as


@pytest.mark.parametrize("align_corners", [False, True])
def test_resize_samples_between_pixels(align_corners):
    x = torch.tensor([[[[0.0, 1.0, 4.0]]]])
    target = torch.empty(1, 7, 1, 6)
    # Output pixel i has its centre at (i + 1/2) / 2 - 1/2 of the input, clamped to the first and last pixel;
    # where corners are aligned, 0 lies on 0 and 5 on 2.
    expected = []
    for i in range(6):
        position = i * 2 / 5 if align_corners else min(max((i + 0.5) / 2 - 0.5, 0), 2)
        low = min(int(position), 1)
        expected.append(
            x[0, 0, 0, low].item() * (low + 1 - position) + x[0, 0, 0, low + 1].item() * (position - low)
        )
    assert resize_as(x, target, align_corners=align_corners)[0, 0, 0].tolist() == pytest.approx(expected)


def test_resize_to_the_same_size_returns_the_maps():
    x = torch.randn(1, 2, 3, 4)
    assert resize_as(x, torch.empty(1, 5, 3, 4)) is x


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "size"), [(1, 1, 1, 8), (3, 1, 1, 8), (3, 2, 1, 4), (3, 1, 2, 8)]
)
def test_block_pads_to_keep_the_size(kernel, stride, dilation, size):
    y = conv_bn_relu(3, 5, kernel=kernel, stride=stride, dilation=dilation)(torch.randn(2, 3, 8, 8))
    assert y.shape == (2, 5, size, size)
    assert y.min() == 0


def test_initialisation_is_kaiming_over_the_fan_in():
    torch.manual_seed(0)
    block: Any = torch.nn.Sequential(conv3x3(64, 256), torch.nn.BatchNorm2d(256))
    torch.nn.init.normal_(block[1].weight)
    initialise(block)
    assert block[0].weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.02)
    assert not block[0].bias.any()
    assert torch.equal(block[1].weight, torch.ones(256))
    assert not block[1].bias.any()
