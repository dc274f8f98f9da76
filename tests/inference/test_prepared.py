import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn.functional import conv2d, relu

from atal_ray import networks
from atal_ray.config import NetworkConfig
from atal_ray.config.query import Precision
from atal_ray.errors import DataError
from atal_ray.inference import graph
from atal_ray.inference import prepared as prepared_module
from atal_ray.inference.onednn import PackedConvolution
from atal_ray.inference.prepared import Prepared, choose_backend, prepare_snapshots
from atal_ray.networks.backbone import Backbone, Levels
from atal_ray.networks.f3net import F3Net
from atal_ray.networks.layers import conv_bn_relu
from atal_ray.networks.light import LightBackbone
from atal_ray.networks.minet import MINet
from atal_ray.networks.pfsnet import PFSNet
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.networks.resnet import Bottleneck

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


CPU = torch.device("cpu")


def prepared(network: SaliencyNetwork, precision: Precision = "float32", batch: int = 2) -> Prepared:
    (found,) = prepare_snapshots([network], [[SIDE]], batch, precision, CPU)
    return found


def norms(network: Prepared) -> int:
    (graph,) = network.graphs.values()
    assert isinstance(graph, GraphModule)
    return sum(node.target is torch.ops.aten.batch_norm.default for node in graph.graph.nodes)


def packed(network: Prepared) -> list[PackedConvolution]:
    return [module for module in network.modules() if isinstance(module, PackedConvolution)]


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


NETWORKS: dict[str, Callable[[], SaliencyNetwork]] = {
    "f3net-small": lambda: F3Net(LightBackbone(), width=16),
    "f3net": lambda: F3Net(OneBlockStages(), width=8),
    "minet": lambda: MINet(LightBackbone(), width=8),
    "pfsnet": lambda: PFSNet(LightBackbone(), width=8),
}
"""Tracing takes seconds: the first is tested in every respect, the others once, MINet as a slow test."""


def of_name(name: str) -> SaliencyNetwork:
    torch.manual_seed(3)
    return as_trained(NETWORKS[name]())


@pytest.fixture(scope="module")
def network() -> SaliencyNetwork:
    """Double precision."""
    return of_name("f3net-small")


@pytest.fixture(scope="module")
def single(network: SaliencyNetwork) -> SaliencyNetwork:
    return copy.deepcopy(network).float()


@pytest.fixture(scope="module")
def fast(single: SaliencyNetwork) -> Prepared:
    return prepared(single)


def passes(network: SaliencyNetwork, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, features and the gradient of the images."""
    leaf = images.clone().requires_grad_()
    output = network(network.normalise(leaf))
    logits = output.logits[network.prediction]
    (gradient,) = torch.autograd.grad(logits.square().sum(), leaf)
    return logits.detach(), output.features.detach(), gradient


def agree(network: SaliencyNetwork, plain: SaliencyNetwork, images: Tensor, tolerance: float) -> None:
    for found, expected in zip(passes(network, images), passes(plain, images), strict=True):
        torch.testing.assert_close(
            found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())
        )


def test_every_batch_norm_is_folded_and_the_answer_is_the_same(
    network: SaliencyNetwork, images: Tensor
) -> None:
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    folded = prepared(network)
    assert norms(folded) == 0
    assert not packed(folded)  # oneDNN has no double precision
    agree(folded, network, images, 1e-9)
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert all(torch.equal(kept[key], value) for key, value in network.state_dict().items())


def all_packed(found: Prepared) -> bool:
    (graph,) = found.graphs.values()
    assert isinstance(graph, GraphModule)
    plain = [node for node in graph.graph.nodes if node.target is torch.ops.aten.conv2d.default]
    return len(packed(found)) > 20 and not plain


@pytest.mark.parametrize(
    "name", ["f3net", *(pytest.param(name, marks=pytest.mark.slow) for name in ("pfsnet", "minet"))]
)
def test_every_convolution_is_packed_and_the_answer_is_that_of_float32(name: str, images: Tensor) -> None:
    single = of_name(name).float()
    found = prepared(single)
    assert norms(found) == 0
    assert all_packed(found)
    assert any(convolution.fused_relu for convolution in packed(found))
    agree(found, single, images.float(), 1e-3)


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_images_is_taken(count: int, single: SaliencyNetwork, fast: Prepared) -> None:
    assert all_packed(fast)
    agree(fast, single, torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5)), 1e-3)


def test_what_leads_to_other_logits_is_gone(fast: Prepared, single: SaliencyNetwork) -> None:
    convolutions = [name for name, module in single.named_modules() if isinstance(module, nn.Conv2d)]
    heads = [f"linear{head}" for head in ("p1", "r2", "r3", "r4", "r5")]
    refined = [f"decoder2.{part}.conv{step}h" for part in ("cfm23", "cfm34", "cfm45") for step in (3, 4)]
    assert {*heads, *refined} < set(convolutions)
    assert len(packed(fast)) == len(convolutions) - len(heads) - len(refined)


def test_a_backend_may_be_named_and_the_plain_one_is_the_network(
    single: SaliencyNetwork, images: Tensor
) -> None:
    (plain,) = prepare_snapshots([single], [[SIDE]], 2, "float32", CPU, backend="plain")
    assert len(plain.graphs) == 0
    agree(plain, single, images.float(), 1e-5)  # channels last
    small = users(lambda net, x: net.norm(net.conv(x))).float()
    (folded,) = prepare_snapshots([small], [[SIDE]], 2, "float32", CPU, backend="folded")
    assert norms(folded) == 0
    assert not packed(folded)
    agree(folded, small, images.float(), 1e-4)


def test_the_backend_is_chosen_by_device_and_type(monkeypatch: pytest.MonkeyPatch) -> None:
    float32, gpu = torch.float32, torch.device("cuda")
    monkeypatch.setattr("atal_ray.inference.prepared.can_pack", lambda dtype: dtype == float32)
    assert choose_backend(CPU, float32, float32) == "onednn"
    assert choose_backend(CPU, float32, torch.bfloat16) == "folded"  # no instructions for it
    assert choose_backend(CPU, torch.float64, float32) == "folded"
    assert choose_backend(gpu, float32, float32) == "folded"


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("groups", "bias"), [(1, True), (2, False)])
@pytest.mark.parametrize("padding", [0, 1, 9])
@pytest.mark.parametrize("fused_relu", [False, True])
def test_a_packed_convolution_is_the_convolution(
    kernel: int, stride: int, dilation: int, groups: int, bias: bool, padding: int, fused_relu: bool
) -> None:
    generator = torch.Generator().manual_seed(7)
    weight, x = (
        torch.randn(shape, generator=generator)
        for shape in ((6, 4 // groups, kernel, kernel), (2, 4, 12, 10))
    )
    shift = torch.randn(6, generator=generator) if bias else None
    pairs = ([stride] * 2, [padding] * 2, [dilation] * 2)
    convolution = PackedConvolution(weight, shift, *pairs, groups, fused_relu, [2, 4, 12, 10])
    for images in (x, x[:1], x.contiguous(memory_format=torch.channels_last)):
        one, other = (images.clone().requires_grad_() for _ in range(2))
        expected = conv2d(one, weight, shift, stride, padding, dilation, groups)
        expected, found = expected.relu() if fused_relu else expected, convolution(other)
        torch.testing.assert_close(found, expected)
        expected.square().sum().backward()
        found.square().sum().backward()
        torch.testing.assert_close(
            other.grad, one.grad, rtol=1e-4, atol=1e-4 * float(one.grad.abs().max() + 1)
        )


class Users(SaliencyNetwork):
    """A network whose middle is the test's: a convolution and a batch norm between two others."""

    loss_weights = (1.0,)
    prediction = 0
    feature_channels = 6
    mean = (0.5, 0.5, 0.5)
    std = (0.2, 0.2, 0.2)

    def __init__(
        self, middle: Callable[["Users", Tensor], Tensor], norm: nn.BatchNorm2d | None = None
    ) -> None:
        super().__init__()
        self.stem, self.conv, self.head = (
            nn.Conv2d(*pair, 3, padding=1) for pair in ((3, 6), (6, 6), (6, 1))
        )
        self.norm = norm or nn.BatchNorm2d(6)
        self.middle = middle

    def forward(self, x: Tensor) -> SaliencyOutput:
        features = self.middle(self, relu(self.stem(x)))
        return SaliencyOutput((self.head(features),), features)


def users(middle: Callable[[Users, Tensor], Tensor], norm: nn.BatchNorm2d | None = None) -> SaliencyNetwork:
    torch.manual_seed(6)
    return as_trained(Users(middle, norm))


def gated(net: Users, x: Tensor) -> Tensor:
    """A reader without gradient."""
    y = net.conv(x)
    return net.norm(y) * torch.sigmoid(y.detach())


def two_readers(net: Users, x: Tensor) -> Tensor:
    y = net.conv(x)
    return net.norm(y) + y


def mended(net: Users, x: Tensor) -> Tensor:
    """The batch norm sees what a line without a result of its own does to the convolution's output."""
    y = net.conv(x)
    y.mul_(x)
    return net.norm(y)


CASES: dict[str, Callable[[Users, Tensor], Tensor]] = {
    "another reader of the convolution": two_readers,
    "a reader without gradient": gated,
    "a convolution used twice": lambda net, x: net.norm(net.conv(net.conv(x))),
    "a batch norm used twice": lambda net, x: net.norm(net.conv(net.norm(x))),
    "a ReLU between": lambda net, x: net.norm(relu(net.conv(x))),
    "a ReLU between, in place": lambda net, x: net.norm(relu(net.conv(x), inplace=True)),
    "the sum with what is no convolution": lambda net, x: net.norm(net.conv(x) + x),
    "the convolution added to itself": lambda net, x: net.norm(net.conv(x) * 1 + net.conv(x)),
    "a line that changes what the convolution gives": mended,
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_folded_stays(case: str, images: Tensor) -> None:
    network = users(CASES[case])
    found = prepared(network)
    assert norms(found) == 1
    agree(found, network, images, 1e-12)
    agree(prepared(network.float()), network, images.float(), 1e-4)


@pytest.mark.parametrize("inplace", [False, True])
def test_a_relu_with_another_reader_before_it_is_not_fused(inplace: bool, images: Tensor) -> None:
    def middle(net: Users, x: Tensor) -> Tensor:
        y = net.conv(x)
        return relu(y, inplace=inplace) - 0.5 * y

    network = users(middle).float()
    agree(prepared(network), network, images.float(), 1e-4)


@pytest.mark.parametrize("options", [{"track_running_stats": False}, {"affine": False}])
def test_a_batch_norm_of_another_kind(options: dict[str, Any], images: Tensor) -> None:
    network = users(lambda net, x: net.norm(net.conv(x)), nn.BatchNorm2d(6, **options))
    found = prepared(network)
    assert norms(found) == (
        "affine" not in options
    )  # without statistics of its own it reads those of the batch
    agree(found, network, images, 1e-9)


def depends_on_values(net: Users, x: Tensor) -> Tensor:
    return net.norm(net.conv(x)) if float(x.mean()) > -1 else x


class Reversed(torch.autograd.Function):
    """The identity, whose gradient points the other way."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def hooked(net: Users, x: Tensor) -> Tensor:
    y = net.conv(x)
    if y.requires_grad:
        y.register_hook(lambda gradient: 3 * gradient)
    return net.norm(y)


OWN_GRADIENTS = {
    "a backward of its own": lambda net, x: net.norm(Reversed.apply(net.conv(x))),
    "a hook": hooked,
}


@pytest.mark.parametrize("case", OWN_GRADIENTS)
def test_a_gradient_that_the_operations_do_not_have_is_kept(case: str, images: Tensor) -> None:
    network = users(OWN_GRADIENTS[case])
    with pytest.warns(UserWarning, match=r"^Users runs unoptimised, which is slower: no usable graph"):
        found = prepared(network)
    assert len(found.graphs) == 0
    agree(found, network, images, 1e-12)


class Swapped(Users):
    """A network for BGR."""

    def normalise(self, images: Tensor) -> Tensor:
        return super().normalise(images.flip(1))


def test_a_network_normalises_as_it_likes(images: Tensor) -> None:
    torch.manual_seed(6)
    network = as_trained(Swapped(lambda net, x: net.norm(net.conv(x))))
    found = prepared(network)
    assert len(found.graphs) == 1
    agree(found, network, images, 1e-9)
    kept = found._without_weights[0]
    assert not list(kept.parameters())
    assert list(network.parameters())


def test_the_bias_of_a_folded_batch_norm_takes_no_other_name(images: Tensor) -> None:
    network = users(
        lambda net, x: net.norm(conv2d(x, net.conv.weight, padding=1)) + net.conv.bias[:, None, None]
    )
    found = prepared(network)
    assert norms(found) == 0
    agree(found, network, images, 1e-9)


def test_half_precision_takes_a_network_that_names_types(images: Tensor) -> None:
    network = users(lambda net, x: net.norm(net.conv(x).float().to(x.dtype))).float()
    found = prepared(network, "bfloat16")
    assert len(found.graphs) == 1
    assert found(images.float()).features.dtype == torch.float32


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_that_cannot_be_traced_answers_as_it_is(precision: Precision, images: Tensor) -> None:
    network = users(depends_on_values).float()
    with pytest.warns(UserWarning, match=r"^Users runs unoptimised, which is slower: no usable graph"):
        found = prepared(network, precision)
    assert len(found.graphs) == 0
    agree(found, network, images.float(), 1e-6 if precision == "float32" else 0.3)


def test_a_graph_that_does_not_fit_a_snapshot_is_not_used(images: Tensor) -> None:
    """Two snapshots whose forward passes differ in what no state dict holds."""

    def scaled(factor: int) -> Callable[[Users, Tensor], Tensor]:
        return lambda net, x: net.norm(net.conv(x)) * factor

    networks = [users(scaled(factor)) for factor in (1, 2)]
    with pytest.warns(UserWarning, match="the graph gives something else"):
        first, second = prepare_snapshots(networks, [[SIDE]] * len(networks), 2, "float32", CPU)
    assert (len(first.graphs), len(second.graphs)) == (1, 0)
    agree(second, networks[1], images, 1e-12)


def test_a_side_for_which_nothing_is_prepared_is_refused() -> None:
    found = prepared(users(lambda net, x: net.norm(net.conv(x))))
    with pytest.raises(DataError, match=r"images are 96x96 px: the snapshot is prepared for sides of 64"):
        found.saliency(torch.rand(1, 3, 96, 96, dtype=torch.float64))


def test_several_sides() -> None:
    network = users(lambda net, x: net.norm(net.conv(x)))
    (found,) = prepare_snapshots([network], [[SIDE, 32]], 2, "float32", CPU)
    for side in (SIDE, 32):
        agree(found, network, torch.rand(2, 3, side, side, dtype=torch.float64), 1e-9)


@pytest.mark.slow
def test_half_precision_is_near_and_gives_float32(
    single: SaliencyNetwork, fast: Prepared, images: Tensor
) -> None:
    exact = passes(fast, images.float())
    half = prepared(single, "bfloat16")
    found = passes(half, images.float())
    for one, other, most in zip(found, exact, (0.05, 0.05, 0.3), strict=True):
        assert one.dtype == torch.float32
        assert 1e-4 < float((one - other).norm() / other.norm()) < most
    assert norms(half) == 0
    assert not any(parameter.requires_grad for parameter in half.parameters())


def test_half_precision_takes_a_network_that_makes_tensors_of_its_own(images: Tensor) -> None:
    network = users(lambda net, x: net.norm(net.conv(x + torch.linspace(0, 1, SIDE)))).float()
    output = prepared(network, "bfloat16")(images.float())
    assert output.logits[0].dtype == output.features.dtype == torch.float32


def test_each_snapshot_answers_with_its_own_weights(images: Tensor) -> None:
    networks = [users(lambda net, x: net.norm(net.conv(x))) for _ in range(3)]
    for number, network in enumerate(networks):
        for parameter in network.parameters():
            parameter.mul_(1 + number)
    for found, plain in zip(
        prepare_snapshots(networks, [[SIDE]] * len(networks), 2, "float32", CPU), networks, strict=True
    ):
        assert norms(found) == 0
        agree(found, plain, images, 1e-9)


def test_networks_of_one_structure_are_traced_once(monkeypatch):
    traced, traces, real = [], {}, graph.trace

    def counted(network, side):
        traced.append((type(network).__name__, side))
        return real(network, side)

    monkeypatch.setattr(prepared_module, "trace", counted)
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = networks.build(NetworkConfig(name="toy_network:TwoHeads")).eval().requires_grad_(False)
        (fast,) = prepare_snapshots([network], [{64}], 1, "float32", torch.device("cpu"), traces=traces)
        with torch.no_grad():
            expected = network(images).logits[network.prediction]
            found = fast(images).logits[0]
        assert torch.allclose(found, expected, atol=1e-3)
    assert traced == [("TwoHeads", 64)]
