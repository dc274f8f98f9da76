from pathlib import Path
from typing import Any

import pytest
import torch

from atal_ray.config import NetworkConfig
from atal_ray.errors import CheckpointError, ConfigError
from atal_ray.networks import build, names, register, registry
from atal_ray.networks.f3net import F3Net
from atal_ray.networks.f3net_small import F3NetSmall
from atal_ray.networks.minet import MINet
from atal_ray.networks.pfsnet import PFSNet
from atal_ray.networks.resnet import ResNet50


@pytest.fixture
def published(tmp_path, monkeypatch) -> ResNet50:
    """Stand-in for the published weights: what a download would leave in the cache."""
    backbone = ResNet50()
    path = tmp_path / "resnet50.pth"
    torch.save(backbone.state_dict(), path)
    monkeypatch.setattr(registry, "fetch_resnet50", lambda folder: path)
    return backbone


@pytest.fixture
def offline(monkeypatch) -> None:
    def refuse(folder: Path) -> Path:
        raise CheckpointError("no download here")

    monkeypatch.setattr(registry, "fetch_resnet50", refuse)


def test_names():
    assert {"f3net", "f3net-small", "minet", "pfsnet"} <= set(names())


def test_unset_weights_are_the_published_ones(published):
    network: Any = build(NetworkConfig(name="f3net"))
    assert torch.equal(network.bkbone.conv1.weight, published.conv1.weight)
    assert isinstance(network, F3Net)


@pytest.mark.usefixtures("offline")
def test_nothing_is_fetched_where_it_is_not_asked_for():
    assert isinstance(build(NetworkConfig(name="f3net", weights="random")), F3Net)
    assert isinstance(build(NetworkConfig(name="f3net"), load_weights=False), F3Net)
    assert isinstance(build(NetworkConfig(name="f3net-small")), F3NetSmall)
    with pytest.raises(CheckpointError, match="no download here"):
        build(NetworkConfig(name="f3net"))


@pytest.mark.usefixtures("offline")
def test_weights_and_stride_come_from_the_configuration(tmp_path):
    backbone: Any = ResNet50()
    torch.save(backbone.state_dict(), tmp_path / "caffe.pth")
    network: Any = build(NetworkConfig(name="f3net", weights=str(tmp_path / "caffe.pth"), stride_on="1x1"))
    assert torch.equal(network.bkbone.layer4[2].conv3.weight, backbone.layer4[2].conv3.weight)
    assert network.bkbone.layer2[0].conv1.stride == (2, 2)
    assert network.bkbone.layer2[0].conv2.stride == (1, 1)


@pytest.mark.parametrize(("name", "network"), [("f3net", F3Net), ("minet", MINet), ("pfsnet", PFSNet)])
def test_stride_reaches_the_backbone_of_every_network(name, network):
    with torch.device("meta"):
        built: Any = build(NetworkConfig(name=name, weights="random", stride_on="1x1"))
    assert type(built) is network
    assert built.bkbone.layer3[0].conv1.stride == (2, 2)
    assert built.bkbone.layer3[0].conv2.stride == (1, 1)


def test_published_weights_need_their_stride(published):
    with pytest.raises(ConfigError, match=r"stride-on is 1x1.*network\.weights"):
        build(NetworkConfig(name="f3net", stride_on="1x1"))


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'f4net'.*f3net, f3net-small"):
        build(NetworkConfig(name="f4net"))


def test_small_network_refuses_a_weights_file():
    assert isinstance(build(NetworkConfig(name="f3net-small", weights="random")), F3NetSmall)
    with pytest.raises(ConfigError, match="f3net-small starts from random weights"):
        build(NetworkConfig(name="f3net-small", weights="resnet50.pth"))


def test_global_seed_decides_the_random_weights():
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(build(NetworkConfig(name="f3net-small")).state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not torch.equal(states[0]["linearp1.weight"], states[2]["linearp1.weight"])


def test_registering(monkeypatch):
    monkeypatch.setattr(registry, "_NETWORKS", dict(registry._NETWORKS))

    @register("mine")
    class Mine(F3NetSmall):
        pass

    assert isinstance(build(NetworkConfig(name="mine")), Mine)
    with pytest.raises(ConfigError, match="already registered as 'mine'"):
        register("mine")(F3NetSmall)


def test_a_users_own_class_is_found_by_its_module():
    assert registry.find("toy_network:Toy").__name__ == "Toy"
    assert type(build(NetworkConfig(name="toy_network:Toy"))).__module__ == "toy_network"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "absent_module:Toy",
            r"'absent_module:Toy', but it cannot be imported \(ModuleNotFoundError.*start from the folder",
        ),
        ("toy_network:Other", r"cannot be imported \(AttributeError"),
        ("toy_network:", r"cannot be imported"),
        (":Toy", r"cannot be imported"),
        ("torch.nn:Conv2d", "is no class derived from"),
        ("toy_network:interpolate", "is no class derived from"),
    ],
)
def test_what_is_no_network_is_refused(name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        registry.find(name)


def test_a_state_dict_has_the_name_of_its_network():
    small = F3NetSmall().state_dict()
    assert registry.name_of(small) == "f3net-small"
    assert (
        registry.name_of({key: value for key, value in small.items() if "num_batches" not in key})
        == "f3net-small"
    )
    assert registry.name_of({**small, "more": small["linearp1.bias"]}) is None
    assert registry.name_of({**small, "linearp1.bias": torch.zeros(2)}) is None
