import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atal_ray.config import TrainConfig
from atal_ray.errors import DataError
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.pfsnet import PFSNet


@pytest.fixture
def network() -> PFSNet:
    torch.manual_seed(0)
    return PFSNet(LightBackbone(), width=8)


def enlarged(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (64, 128)])
def test_logits_have_the_size_of_the_input(network, size):
    output = network(torch.randn(2, 3, *size))
    assert [tuple(logits.shape) for logits in output.logits] == [(2, 1, *size)]
    assert len(network.loss_weights) == 1
    assert output.features.shape == (2, network.feature_channels, size[0] // 2, size[1] // 2)
    torch.testing.assert_close(output.logits[0], enlarged(network.linearp1(output.features), size))


def test_sides_that_are_no_multiple_of_32_are_refused(network):
    with pytest.raises(DataError, match=r"100x64 px: PFSNet needs multiples of 32"):
        network(torch.zeros(1, 3, 64, 100))


def test_every_parameter_gets_a_gradient(network):
    network(torch.randn(2, 3, 64, 64)).logits[0].square().mean().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_convolutions_start_as_in_f3net(network):
    assert not network.Y41.convAB.bias.any()
    spread = network.squeeze5.squeeze1[0].weight
    assert spread.std().item() == pytest.approx((2 / spread[0].numel()) ** 0.5, rel=0.03)


def test_groups_leave_out_the_stem():
    with torch.device("meta"):
        network = PFSNet()
    groups = {
        group["name"]: sum(p.numel() for p in group["params"])
        for group in network.parameter_groups(TrainConfig())
    }
    assert groups == {"head": 31_180_161 - 23_508_032, "backbone": 23_508_032 - 9_408 - 128}
