import math

import pytest
import torch
from torch import nn

from atal_ray.config import TrainConfig
from atal_ray.errors import DataError
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.minet import MINet


@pytest.fixture
def network() -> MINet:
    torch.manual_seed(0)
    return MINet(LightBackbone(), width=8)


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (64, 128)])
def test_logits_and_features_have_the_size_of_the_input(network, size):
    output = network(torch.randn(2, 3, *size))
    assert [tuple(logits.shape) for logits in output.logits] == [(2, 1, *size)]
    assert len(network.loss_weights) == 1
    assert output.features.shape == (2, network.feature_channels, *size)
    torch.testing.assert_close(output.logits[0], network.classifier(output.features))


@pytest.mark.parametrize(
    ("size", "complaint"),
    [
        ((64, 100), "100x64 px: MINet needs multiples of 32"),
        ((64, 32), "32x64 px: MINet needs sides of at least 64"),
    ],
)
def test_sides_that_cannot_be_halved_are_refused(network, size, complaint):
    with pytest.raises(DataError, match=complaint):
        network(torch.zeros(1, 3, *size))


def test_every_parameter_gets_a_gradient(network):
    network(torch.randn(2, 3, 64, 64)).logits[0].square().mean().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_convolutions_start_as_pytorch_initialises_them(network):
    decoder = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not name.startswith("bkbone.")
    ]
    for conv in decoder:
        bound = 1 / math.sqrt(conv.in_channels * math.prod(conv.kernel_size))
        assert conv.weight.abs().max() <= bound
        assert conv.bias is None or conv.bias.any()
    spread = network.trans.conv4.h2h_1.weight
    assert spread.std().item() == pytest.approx(1 / math.sqrt(3 * spread[0].numel()), rel=0.02)


@pytest.fixture(scope="module")
def full_size() -> MINet:
    """On ResNet-50, names and shapes only."""
    with torch.device("meta"):
        return MINet()


def test_published_recipe_spares_what_bears_its_kind_in_its_name(full_size):
    recipe = TrainConfig(freeze_stem=False, backbone_ratio=1.0, decay_on="no-bias-no-bn")
    names = {id(parameter): full_size.published_key(name) for name, parameter in full_size.named_parameters()}
    groups = full_size.parameter_groups(recipe)
    assert {group["name"]: (group["lr"], group["weight_decay"]) for group in groups} == {
        "head": (0.05, 5e-4),
        "head without decay": (0.05, 0.0),
        "backbone": (0.05, 5e-4),
        "backbone without decay": (0.05, 0.0),
    }
    spared = [
        names[id(parameter)] for group in groups if not group["weight_decay"] for parameter in group["params"]
    ]
    decayed = [
        names[id(parameter)] for group in groups if group["weight_decay"] for parameter in group["params"]
    ]
    assert sorted(spared + decayed) == sorted(names.values())
    # Batch norms inside a sequence have a number for a name, so that their weights decay as a convolution's
    # do.
    numbered = {f"div_{stride}.0.downsample.1.weight" for stride in (8, 16, 32)} | {
        "div_2.1.weight",
        "div_4.1.0.downsample.1.weight",
    }
    numbered |= {f"upconv{stride}.basicconv.1.weight" for stride in (32, 16, 8, 4, 2, 1)}
    norms = {
        full_size.published_key(f"{name}.weight")
        for name, module in full_size.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    biases = {name for name in names.values() if name.endswith(".bias")}
    assert numbered < norms
    assert set(spared) == biases | (norms - numbered)
    assert {"div_8.0.bn1.weight", "trans.conv0.bnh_0.weight", "div_2.1.bias", "classifier.bias"} < set(spared)


def test_common_recipe_leaves_out_the_stem(full_size):
    groups = {
        group["name"]: sum(p.numel() for p in group["params"])
        for group in full_size.parameter_groups(TrainConfig())
    }
    assert groups == {"head": 162_378_305 - 23_508_032, "backbone": 23_508_032 - 9_408 - 128}
