from types import MappingProxyType

import pytest
import torch
from torch import Tensor, nn

from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.errors import DataError
from atal_ray.networks import registry
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput


class TwoConvolutions(SaliencyNetwork):
    loss_weights = (1.0, 0.5)
    prediction = 1
    feature_channels = 4
    mean = (0.5, 0.25, 0.125)
    std = (0.5, 0.25, 2.0)
    backbone_prefix = "trunk."
    stem_prefixes = ("trunk.0.", "trunk.1.")
    published_prefixes = MappingProxyType({"stem.": "trunk.0.", "bn.": "trunk.1.", "body.": "trunk.2."})

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> SaliencyOutput:
        self.check_sides(x)
        features = self.trunk(x)
        logits = self.head(features)
        return SaliencyOutput((logits, -2 * logits), features)


@pytest.fixture
def network() -> TwoConvolutions:
    torch.manual_seed(0)
    return TwoConvolutions()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalise_is_the_channelwise_shift_and_scale(network, dtype):
    images = torch.rand(2, 3, 4, 5).to(dtype)
    normal = network.normalise(images)
    assert normal.dtype == dtype
    for channel in range(3):  # mean and std are exact in every dtype, so two roundings remain
        expected = (images[:, channel].double() - network.mean[channel]) / network.std[channel]
        rounding = torch.finfo(dtype).eps
        torch.testing.assert_close(normal[:, channel].double(), expected, rtol=rounding, atol=0)


PUBLISHED = {
    "f3net": ((124.55 / 255, 118.90 / 255, 102.94 / 255), (56.77 / 255, 55.97 / 255, 57.50 / 255)),
    "minet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "pfsnet": ((124.55 / 255, 118.90 / 255, 102.94 / 255), (56.77 / 255, 55.97 / 255, 57.50 / 255)),
}
"""Mean and standard deviation of RGB in the published codes (F3Net's and PFSNet's are those of DUTS-TR)."""


@pytest.mark.parametrize("name", [*PUBLISHED, "f3net-small"])
def test_images_are_normalised_as_in_the_published_code(name):
    mean, std = PUBLISHED.get(name, PUBLISHED["f3net"])
    with torch.device("meta"):
        network = registry.find(name).from_config(NetworkConfig())
    images = torch.tensor([mean, [m + s for m, s in zip(mean, std, strict=True)]], dtype=torch.float64)
    normal = network.normalise(images[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(normal, torch.tensor([[0.0] * 3, [1.0] * 3], dtype=torch.float64))


def test_normalise_has_the_gradient_of_the_scale(network):
    images = torch.rand(1, 3, 2, 2, requires_grad=True)
    network.normalise(images).sum().backward()
    for channel in range(3):
        torch.testing.assert_close(images.grad[0, channel], torch.full((2, 2), 1 / network.std[channel]))


def test_integer_images_are_refused(network):
    with pytest.raises(DataError, match=r"uint8.*\[0, 1\]"):
        network.normalise(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


def test_saliency_is_the_sigmoid_of_the_prediction(network):
    images = torch.rand(2, 3, 32, 64)
    output = network(network.normalise(images))
    probabilities, features = network.saliency(images)
    torch.testing.assert_close(probabilities, 1 / (1 + torch.exp(-output.logits[1])))
    torch.testing.assert_close(features, output.features)


@pytest.mark.parametrize(
    "shape", [(1, 3, 33, 32), (1, 3, 32, 48), (1, 3, 0, 32), (3, 32, 32), (1, 1, 32, 32)]
)
def test_images_of_another_shape_are_refused(network, shape):
    with pytest.raises(DataError, match="TwoConvolutions needs"):
        network(torch.zeros(shape))


def test_groups_hold_every_trained_parameter_once(network):
    groups = {group["name"]: group for group in network.parameter_groups(TrainConfig())}
    assert {name: (group["lr"], group["scale"]) for name, group in groups.items()} == {
        "head": (0.05, 1.0),
        "backbone": (pytest.approx(0.005), 0.1),
    }
    assert all(group["weight_decay"] == 5e-4 for group in groups.values())
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    grouped = {
        name: [names[id(parameter)] for parameter in group["params"]] for name, group in groups.items()
    }
    assert grouped == {"head": ["head.weight", "head.bias"], "backbone": ["trunk.2.weight", "trunk.2.bias"]}
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["trunk.0.weight", "trunk.0.bias", "trunk.1.weight", "trunk.1.bias"]


def test_recipe_sets_the_rates_and_may_train_the_stem(network):
    recipe = TrainConfig(lr_max=0.2, weight_decay=0.01, backbone_ratio=0.5, freeze_stem=False)
    groups = {group["name"]: group for group in network.parameter_groups(recipe)}
    assert {name: (group["lr"], group["scale"], group["weight_decay"]) for name, group in groups.items()} == {
        "head": (0.2, 1.0, 0.01),
        "backbone": (0.1, 0.5, 0.01),
    }
    assert len(groups["backbone"]["params"]) == len(list(network.trunk.parameters()))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_decay_may_spare_what_is_published_as_bias_or_bn(network):
    recipe = TrainConfig(freeze_stem=False, decay_on="no-bias-no-bn")
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {
        group["name"]: (
            group["weight_decay"],
            group["scale"],
            [names[id(parameter)] for parameter in group["params"]],
        )
        for group in network.parameter_groups(recipe)
    }
    assert groups == {
        "head": (5e-4, 1.0, ["head.weight"]),
        "head without decay": (0.0, 1.0, ["head.bias"]),
        "backbone": (5e-4, 0.1, ["trunk.0.weight", "trunk.2.weight"]),
        # trunk.1.weight has no "bn" in its name here, but in the published one.
        "backbone without decay": (
            0.0,
            0.1,
            ["trunk.0.bias", "trunk.1.weight", "trunk.1.bias", "trunk.2.bias"],
        ),
    }


def test_groups_without_a_pretrained_backbone_are_the_head(network, monkeypatch):
    monkeypatch.setattr(TwoConvolutions, "backbone_prefix", "")
    monkeypatch.setattr(TwoConvolutions, "stem_prefixes", ())
    (group,) = network.parameter_groups(TrainConfig())
    assert (group["name"], group["scale"], len(group["params"])) == ("head", 1.0, 8)


def test_own_and_published_keys_are_inverse(network):
    published = {network.published_key(key): key for key in network.state_dict()}
    assert {"stem.weight", "bn.running_mean", "body.bias", "head.weight"} < set(published)
    assert {network.own_key(key): key for key in published} == {own: key for key, own in published.items()}
    assert all(network.own_key(key) == key for key in network.state_dict())


def test_frozen_stem_keeps_its_weights_and_updates_its_statistics(network):
    optimiser = torch.optim.SGD(
        network.parameter_groups(TrainConfig(lr_max=0.1, weight_decay=0.1)), momentum=0.9, nesterov=True
    )
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    network(torch.rand(2, 3, 32, 32)).logits[0].mean().backward()
    optimiser.step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    statistics = {"trunk.1.running_mean", "trunk.1.running_var", "trunk.1.num_batches_tracked"}
    assert changed == statistics | {"trunk.2.weight", "trunk.2.bias", "head.weight", "head.bias"}


def test_default_from_config_builds_the_class():
    assert isinstance(TwoConvolutions.from_config(NetworkConfig()), TwoConvolutions)
