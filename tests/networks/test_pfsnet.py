import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atal_ray.config import TrainConfig
from atal_ray.errors import DataError
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.pfsnet import AdjacentFusion, PFSNet, ScaleAwareEnrichment


@pytest.fixture
def network() -> PFSNet:
    torch.manual_seed(0)
    return PFSNet(LightBackbone(), width=8)


def enlarged(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def attended(module: nn.Module, both: Tensor) -> Tensor:
    """Channel after channel, weighted and then fused to the module's width."""
    weighted = torch.empty_like(both)
    for image in range(both.shape[0]):
        averages = torch.stack([channel.mean() for channel in both[image]])
        scores = module.convg.weight[:, :, 0, 0] @ averages + module.convg.bias
        weights = scores.exp() / scores.exp().sum()
        for channel in range(both.shape[1]):
            weighted[image, channel] = both.shape[1] * weights[channel] * both[image, channel]
    return module.bnAB(module.convAB(weighted)).relu()


@pytest.mark.parametrize("with_context", [False, True])
def test_enrichment_squeezes_a_level_beside_its_context(with_context):
    torch.manual_seed(0)
    module = ScaleAwareEnrichment(5, width=3).double()
    x, context = torch.randn(2, 2, 5, 6, 8, dtype=torch.float64)
    dilated, plain = module.squeeze1, module.squeeze2
    z = F.conv2d(
        x + context if with_context else x, dilated[0].weight, dilated[0].bias, padding=2, dilation=2
    )
    z = dilated[1](z).relu()
    squeezed = plain[1](F.conv2d(x, plain[0].weight, plain[0].bias, padding=1)).relu()
    out, passed_on = module(x, context) if with_context else module(x)
    torch.testing.assert_close(passed_on, z)
    torch.testing.assert_close(out, attended(module, torch.cat((squeezed, z), dim=1)))


def test_fusion_shrinks_two_neighbours_by_way_of_their_product():
    torch.manual_seed(0)
    module = AdjacentFusion(3).double()
    x, y = torch.randn(2, 3, 6, 8, dtype=torch.float64), torch.randn(2, 3, 3, 4, dtype=torch.float64)
    y_resized = enlarged(y, (6, 8))
    yy = module.bnB1(module.convB1(x * y_resized + y_resized)).relu()
    xx = module.bnA1(module.convA1(x * y_resized + x)).relu()
    torch.testing.assert_close(module(x, y), attended(module, torch.cat((xx, yy), dim=1)))


def test_pyramid_shrinks_five_levels_to_one(network):
    network.eval()
    p = dict(network.named_children())
    images = torch.randn(1, 3, 64, 96)
    row, context = [], None
    for number, level in zip((5, 4, 3, 2, 1), reversed(network.bkbone(images)), strict=True):
        if context is not None:
            context = p[f"bn{5 - number}"](p[f"conv{5 - number}"](enlarged(context, level.shape[2:]))).relu()
        squeezed, context = p[f"squeeze{number}"](level, context)
        row.insert(0, squeezed)
    for number in range(1, 5):
        row = [p[f"Y{number}{place}"](row[place - 1], row[place]) for place in range(1, len(row))]
    (features,) = row
    output = network(images)
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(
        output.logits[network.prediction], enlarged(network.linearp1(features), (64, 96))
    )


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
