import pytest
import torch
from torch import nn

from atal_ray.config import TrainConfig
from atal_ray.errors import DataError
from atal_ray.networks.f3net import F3Net
from atal_ray.networks.light import LightBackbone


def test_features_are_the_input_of_the_predicting_head():
    torch.manual_seed(0)
    network = F3Net(LightBackbone(), width=8).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, 64, 64))
        head = network.linearp2(output.features)
    assert output.features.shape == (1, network.feature_channels, 16, 16)
    resized = nn.functional.interpolate(head, size=(64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(output.logits[network.prediction], resized)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (64, 128)])
def test_logits_have_the_size_of_the_input(size):
    network = F3Net(LightBackbone(), width=8)
    output = network(torch.randn(2, 3, *size))
    assert len(output.logits) == len(network.loss_weights) == 6
    assert {tuple(logits.shape) for logits in output.logits} == {(2, 1, *size)}
    assert output.features.shape == (2, network.feature_channels, size[0] // 4, size[1] // 4)


def test_sides_that_are_no_multiple_of_32_are_refused():
    with pytest.raises(DataError, match=r"100x64 px.*multiples of 32"):
        F3Net(LightBackbone(), width=8)(torch.zeros(1, 3, 64, 100))


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    network = F3Net(LightBackbone(), width=8)
    sum(logits.square().mean() for logits in network(torch.randn(2, 3, 64, 64)).logits).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_groups_leave_out_the_stem():
    with torch.device("meta"):
        network = F3Net()
    groups = {
        group["name"]: sum(p.numel() for p in group["params"])
        for group in network.parameter_groups(TrainConfig())
    }
    assert groups == {"head": 25_536_710 - 23_508_032, "backbone": 23_508_032 - 9_408 - 128}
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["bkbone.conv1.weight", "bkbone.bn1.weight", "bkbone.bn1.bias"]


def test_equal_seeds_give_equal_weights():
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(F3Net(LightBackbone(), width=8).linearp1.weight)
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
