from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from atal_ray.networks.backbone import Backbone, Levels
from atal_ray.networks.f3net import F3Net
from atal_ray.networks.layers import conv_bn_relu
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.minet import MINet
from atal_ray.networks.pfsnet import PFSNet
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.networks.resnet import Bottleneck
from atal_ray.uncertainty.inference import HalfPrecision, prepare, prepare_snapshots

SIDE = 64


def as_trained(network: SaliencyNetwork) -> SaliencyNetwork:
    """Batch norms that matter, double precision, frozen."""
    generator = torch.Generator().manual_seed(4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0)):
                if values is not None:
                    values.uniform_(low, high, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
                nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    return network.double().eval().requires_grad_(False)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


class OneBlockStages(Backbone):
    """A ResNet with a bottleneck in each stage."""

    channels = (16, 32, 32, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn_relu(3, 16, stride=2)
        self.stages = nn.ModuleList(Bottleneck(width, 8, 2, "3x3") for width in (16, 32, 32, 32))

    def forward(self, x: Tensor) -> Levels:
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return Levels(*maps)


@pytest.fixture(scope="module", params=["f3net", "f3net-small", "minet", "pfsnet"])
def network(request: pytest.FixtureRequest) -> SaliencyNetwork:
    make: dict[str, Callable[[], SaliencyNetwork]] = {
        "f3net": lambda: F3Net(OneBlockStages(), width=8),
        "f3net-small": lambda: F3Net(LightBackbone(), width=16),
        "minet": lambda: MINet(LightBackbone(), width=8),
        "pfsnet": lambda: PFSNet(LightBackbone(), width=8),
    }
    torch.manual_seed(3)
    return as_trained(make[request.param]())


def passes(network: SaliencyNetwork, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, features and the gradient of the images."""
    leaf = images.clone().requires_grad_()
    output = network(network.normalise(leaf))
    logits = output.logits[network.prediction]
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    return logits.detach(), output.features.detach(), gradient


def test_every_batch_norm_is_folded_and_the_answer_is_the_same(network: SaliencyNetwork, images: Tensor) -> None:
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    folded = prepare(network, SIDE)
    assert norms(network) > 20
    assert norms(folded) == 0
    for found, expected in zip(passes(folded, images), passes(network, images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
    assert type(folded) is type(network)
    assert not folded.training
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert all(torch.equal(kept[key], value) for key, value in network.state_dict().items())
    weights = [module.weight for module in folded.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


class Users(SaliencyNetwork):
    """A network whose middle is the test's: a convolution and a batch norm between two others."""

    loss_weights = (1.0,)
    prediction = 0
    feature_channels = 6
    mean = (0.5, 0.5, 0.5)
    std = (0.2, 0.2, 0.2)

    def __init__(self, middle: Callable[["Users", Tensor], Tensor], norm: nn.BatchNorm2d | None = None) -> None:
        super().__init__()
        self.stem, self.conv, self.head = (nn.Conv2d(*pair, 3, padding=1) for pair in ((3, 6), (6, 6), (6, 1)))
        self.norm = norm or nn.BatchNorm2d(6)
        self.middle = middle

    def forward(self, x: Tensor) -> SaliencyOutput:
        features = self.middle(self, relu(self.stem(x)))
        return SaliencyOutput((self.head(features),), features)


def users(middle: Callable[[Users, Tensor], Tensor], norm: nn.BatchNorm2d | None = None) -> SaliencyNetwork:
    torch.manual_seed(6)
    return as_trained(Users(middle, norm))


def gated(net: Users, x: Tensor) -> Tensor:
    """A reader that no graph shows."""
    y = net.conv(x)
    return net.norm(y) * torch.sigmoid(y.detach())


def two_readers(net: Users, x: Tensor) -> Tensor:
    y = net.conv(x)
    return net.norm(y) + y


CASES: dict[str, Callable[[Users, Tensor], Tensor]] = {
    "another reader of the convolution": two_readers,
    "a reader without gradient": gated,
    "a convolution used twice": lambda net, x: net.norm(net.conv(net.conv(x))),
    "a batch norm used twice": lambda net, x: net.norm(net.conv(net.norm(x))),
    "a ReLU between": lambda net, x: net.norm(relu(net.conv(x))),
    "a ReLU between, in place": lambda net, x: net.norm(relu(net.conv(x), inplace=True)),
    "the sum with what is no convolution": lambda net, x: net.norm(net.conv(x) + x),
    "the convolution added to itself": lambda net, x: net.norm(net.conv(x) * 1 + net.conv(x)),
    "a batch norm called by keyword": lambda net, x: net.norm(input=net.conv(x)),
    "what an identity lacks": lambda net, x: net.norm(net.conv(x)) * net.norm.eps,
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_folded_stays(case: str, images: Tensor) -> None:
    network = users(CASES[case])
    prepared = prepare(network, SIDE)
    assert norms(prepared) == 1
    assert prepared.conv.weight.is_contiguous(memory_format=torch.channels_last)
    for found, expected in zip(passes(prepared, images), passes(network, images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{"track_running_stats": False}, {"affine": False}])
def test_a_batch_norm_of_another_kind(options: dict[str, Any], images: Tensor) -> None:
    network = users(lambda net, x: net.norm(net.conv(x)), nn.BatchNorm2d(6, **options))
    prepared = prepare(network, SIDE)
    assert norms(prepared) == ("affine" not in options)  # without statistics of its own it reads those of the batch
    for found, expected in zip(passes(prepared, images), passes(network, images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_half_precision_is_near_and_gives_float32(images: Tensor) -> None:
    torch.manual_seed(3)
    network = prepare(as_trained(F3Net(LightBackbone(), width=16)).float(), SIDE)
    exact = passes(network, images.float())
    half = HalfPrecision(network)
    found = passes(half, images.float())
    for one, other, most in zip(found, exact, (0.05, 0.05, 0.3), strict=True):
        assert one.dtype == torch.float32
        assert 1e-4 < float((one - other).norm() / other.norm()) < most
    assert half.prediction == network.prediction
    assert not any(parameter.requires_grad for parameter in half.parameters())


def test_half_precision_takes_a_network_that_makes_tensors_of_its_own(images: Tensor) -> None:
    network = users(lambda net, x: net.norm(net.conv(x + torch.linspace(0, 1, SIDE)))).float()
    output = HalfPrecision(prepare(network, SIDE))(images.float())
    assert output.logits[0].dtype == output.features.dtype == torch.float32


def test_snapshots_are_folded_and_answer_the_same(images: Tensor) -> None:
    networks = [users(lambda net, x: net.norm(net.conv(x))) for _ in range(3)]
    prepared = prepare_snapshots(networks, SIDE, "float32")
    assert [norms(network) for network in prepared] == [0, 0, 0]
    for network, plain in zip(prepared, networks, strict=True):
        for found, expected in zip(passes(network, images), passes(plain, images), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_half_precision_is_folded_throughout() -> None:
    networks = [users(lambda net, x: net.norm(net.conv(x))).float() for _ in range(2)]
    prepared = prepare_snapshots(networks, SIDE, "bfloat16")
    assert all(isinstance(network, HalfPrecision) and norms(network) == 0 for network in prepared)
