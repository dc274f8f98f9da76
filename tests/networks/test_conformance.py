import pytest
import torch
from torch import Tensor, nn

from atal_ray.config import TrainConfig
from atal_ray.errors import ConfigError
from atal_ray.networks.conformance import check_network
from atal_ray.networks.f3net_small import F3NetSmall
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

RECIPE = TrainConfig(size=64, scales=(64, 96))


class Patches(SaliencyNetwork):
    """Sees patches of 14 px, as vision transformers do."""

    loss_weights: tuple[float, ...] = (1.0,)
    prediction = 0
    feature_channels = 4
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    multiple = 14

    def __init__(self) -> None:
        super().__init__()
        self.embed: nn.Module = nn.Conv2d(3, 4, 14, stride=14)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> SaliencyOutput:
        self.check_sides(x)
        features = self.embed(x)
        logits = nn.functional.interpolate(self.head(features), x.shape[-2:], mode="bilinear")
        return SaliencyOutput((logits,), features)


class Lacking(Patches):
    @property
    def mean(self) -> tuple[float, float, float]:
        raise AttributeError


class Bare(Patches):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).logits[0]


class TwoWeights(Patches):
    loss_weights = (1.0, 1.0)


class NoSuchPrediction(Patches):
    prediction = 1


class SmallLogits(Patches):
    def forward(self, x: Tensor) -> SaliencyOutput:
        features = self.embed(x)
        return SaliencyOutput((self.head(features),), features)


class OtherFeatures(Patches):
    feature_channels = 5


def test_sides_follow_the_multiple_of_the_network():
    check_network(F3NetSmall(), RECIPE)
    check_network(Patches(), TrainConfig(size=84, scales=(70, 98)))
    with pytest.raises(ConfigError, match="hold 64, 96 px: Patches needs multiples of 14, for instance 70"):
        check_network(Patches(), RECIPE)
    with pytest.raises(
        ConfigError, match="hold 70, 84, 98 px: F3NetSmall needs multiples of 32, for instance 64"
    ):
        check_network(F3NetSmall(), TrainConfig(size=84, scales=(70, 98)))


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (Lacking, "Lacking lacks mean: see"),
        (Bare, "Bare.forward returns a Tensor"),
        (TwoWeights, "gives 1 logits, 2 loss_weights and prediction 0"),
        (NoSuchPrediction, "gives 1 logits, 1 loss_weights and prediction 1"),
        (SmallLogits, r"logits 0 have the shape \[2, 1, 5, 5\], expected \[2, 1, 70, 70\]"),
        (OtherFeatures, r"features have the shape \[2, 4, 5, 5\], expected \[2, 5, h, w\]"),
    ],
)
def test_what_breaks_the_protocol_is_named(network, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_network(network(), TrainConfig(size=70, scales=(70,)))


class Collapsing(Patches):
    """A batch norm sees one value a channel where the image is one patch."""

    multiple = 64

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(3, 4, 64, stride=64), nn.BatchNorm2d(4))


def test_batches_that_batch_norms_cannot_train_on_are_refused():
    network = Collapsing()
    with pytest.raises(ConfigError, match=r"Collapsing cannot be trained on one image of 64 px.*drop-last"):
        check_network(network, TrainConfig(size=64, scales=(128, 64)))
    check_network(network, TrainConfig(size=64, scales=(128,)))
    check_network(network, TrainConfig(size=64, scales=(64,), drop_last=True, batch_size=4))
    with pytest.raises(ConfigError, match="cannot be trained on one image"):
        check_network(network, TrainConfig(size=64, scales=(64,), drop_last=True, batch_size=4, workers=4))
    assert int(network.embed[1].num_batches_tracked) == 0


def test_the_check_leaves_no_trace():
    network = F3NetSmall().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    check_network(network, RECIPE)
    assert torch.equal(torch.rand(1), expected)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
