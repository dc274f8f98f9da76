import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.config import TrainConfig
from atal_ray.errors import DataError
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.minet import AggregateHigh, AggregateLow, AggregateMiddle, MINet, SelfInteraction


@pytest.fixture
def network() -> MINet:
    torch.manual_seed(0)
    return MINet(LightBackbone(), width=8)


def maps(*shapes: tuple[int, int, int]) -> list[Tensor]:
    return [torch.randn(2, *shape, dtype=torch.float64) for shape in shapes]


def up(x: Tensor) -> Tensor:
    """Every pixel four times."""
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def down(x: Tensor) -> Tensor:
    """Means of whole 2x2 blocks."""
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = x[:, :, :height, :width]
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def test_aggregate_high_keeps_the_finer_of_two_branches():
    torch.manual_seed(0)
    module = AggregateHigh(4, 6, width=5).double()
    p = dict(module.named_children())
    high, low = maps((4, 8, 12), (6, 4, 6))
    h0 = p["bnh_0"](p["h2h_0"](high)).relu()
    l0 = p["bnl_0"](p["l2l_0"](low)).relu()
    h1 = p["bnh_1"](p["h2h_1"](h0) + p["l2h_1"](up(l0))).relu()
    l1 = p["bnl_1"](p["l2l_1"](l0) + p["h2l_1"](down(h0))).relu()
    h2 = p["bnh_2"](p["h2h_2"](h1) + p["l2h_2"](up(l1))).relu()
    expected = (p["bnh_3"](p["h2h_3"](h2)) + p["identity"](high)).relu()
    assert h0.shape[1] == h1.shape[1] == 4
    torch.testing.assert_close(module(high, low), expected)


def test_aggregate_middle_keeps_the_middle_of_three_branches():
    torch.manual_seed(0)
    module = AggregateMiddle(6, 4, 7, width=5).double()
    p = dict(module.named_children())
    high, middle, low = maps((6, 8, 12), (4, 4, 6), (7, 2, 3))
    h0 = p["bnh_0"](p["h2h_0"](high)).relu()
    m0 = p["bnm_0"](p["m2m_0"](middle)).relu()
    l0 = p["bnl_0"](p["l2l_0"](low)).relu()
    h1 = p["bnh_1"](p["h2h_1"](h0) + p["m2h_1"](up(m0))).relu()
    m1 = p["bnm_1"](p["h2m_1"](down(h0)) + p["m2m_1"](m0) + p["l2m_1"](up(l0))).relu()
    l1 = p["bnl_1"](p["m2l_1"](down(m0)) + p["l2l_1"](l0)).relu()
    m2 = p["bnm_2"](p["h2m_2"](down(h1)) + p["m2m_2"](m1) + p["l2m_2"](up(l1))).relu()
    expected = (p["bnm_3"](p["m2m_3"](m2)) + p["identity"](middle)).relu()
    assert h0.shape[1] == m0.shape[1] == l0.shape[1] == 4
    torch.testing.assert_close(module(high, middle, low), expected)


def test_aggregate_low_keeps_the_coarser_of_two_branches():
    torch.manual_seed(0)
    module = AggregateLow(4, 6, width=5).double()
    p = dict(module.named_children())
    high, low = maps((4, 8, 12), (6, 4, 6))
    h0 = p["bnh_0"](p["h2h_0"](high)).relu()
    l0 = p["bnl_0"](p["l2l_0"](low)).relu()
    h1 = p["bnh_1"](p["h2h_1"](h0) + p["l2h_1"](up(l0))).relu()
    l1 = p["bnl_1"](p["l2l_1"](l0) + p["h2l_1"](down(h0))).relu()
    l2 = p["bnl_2"](p["h2l_2"](down(h1)) + p["l2l_2"](l1)).relu()
    expected = (p["bnl_3"](p["l2l_3"](l2)) + p["identity"](low)).relu()
    torch.testing.assert_close(module(high, low), expected)


@pytest.mark.parametrize("size", [(8, 12), (3, 5)])
def test_self_interaction_talks_to_its_half_size_copy(size):
    torch.manual_seed(0)
    module = SelfInteraction(6, 3).double()
    p = dict(module.named_children())
    (x,) = maps((6, *size))

    def enlarged(low: Tensor) -> Tensor:
        return F.interpolate(low, size=size, mode="bilinear", align_corners=False)

    h0 = p["bnh_0"](p["h2h_0"](x)).relu()
    l0 = p["bnl_0"](p["h2l_0"](down(x))).relu()
    h1 = p["bnh_1"](p["h2h_1"](h0) + p["l2h_1"](enlarged(l0))).relu()
    l1 = p["bnl_1"](p["l2l_1"](l0) + p["h2l_1"](down(h0))).relu()
    h2 = p["bnh_2"](p["h2h_2"](h1) + p["l2h_2"](enlarged(l1))).relu()
    assert l0.shape[1] == 3
    torch.testing.assert_close(module(x), h2 + x)


def test_each_aggregate_sees_its_level_and_the_neighbours(network):
    network.eval()
    levels = network.bkbone(torch.randn(1, 3, 64, 96))
    p = dict(network.trans.named_children())
    for index, found in enumerate(network.trans(levels)):
        neighbours = [levels[other] for other in (index - 1, index, index + 1) if 0 <= other < 5]
        torch.testing.assert_close(found, p[f"conv{index}"](*neighbours))
        assert found.shape == (1, 8, 32 >> index, 48 >> index)


def test_decoder_adds_what_comes_from_the_coarser_level(network):
    network.eval()
    p = dict(network.named_children())
    images = torch.randn(1, 3, 64, 96)
    decoded = None
    for stride, aggregate in zip(
        (32, 16, 8, 4, 2), reversed(network.trans(network.bkbone(images))), strict=True
    ):
        enlarged = (
            0
            if decoded is None
            else F.interpolate(decoded, scale_factor=2, mode="bilinear", align_corners=False)
        )
        decoded = p[f"upconv{stride}"](p[f"sim{stride}"](aggregate + enlarged))
    features = network.upconv1(F.interpolate(decoded, scale_factor=2, mode="bilinear", align_corners=False))
    output = network(images)
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.logits[network.prediction], network.classifier(features))


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
