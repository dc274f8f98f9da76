"""A module beside a network: what it gets, that it is trained with it, and where its weights go."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_network import Toy, TwoHeads

from atal_ray import networks
from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.errors import CheckpointError
from atal_ray.networks.beside import Beside, attach
from atal_ray.networks.snapshot_reader import load_snapshot
from atal_ray.training.snapshot_files import _saved
from atal_ray.training.step import build_optimizer, train_step


class Sum(Beside):
    """One convolution of the first level."""

    def __init__(self, channels: Sequence[int], settings: Any = None) -> None:
        super().__init__(channels, settings)
        self.channels = list(channels)
        self.convolution = nn.Conv2d(channels[0], 1, 1)

    def forward(self, levels: tuple[Tensor, ...], x: Tensor) -> Tensor:
        found: Tensor = self.convolution(levels[0])
        return found

    def loss(self, maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        return (maps - 1).square().mean()


def dressed(network: networks.SaliencyNetwork) -> networks.SaliencyNetwork:
    attach(network, Sum)
    return network


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("f3net-small", [16, 16, 16, 16]),
        ("toy_network:Toy", [8]),
        ("toy_network:TwoHeads", [16]),  # it does not split: its features
    ],
)
def test_it_gets_the_levels_of_any_network(name: str, channels: list[int]) -> None:
    network = dressed(networks.build(NetworkConfig(name=name)))
    assert isinstance(network.beside, Sum)
    assert network.beside.channels == channels
    assert network.beside.prediction == network.prediction
    assert network.training
    output = network(torch.rand(2, 3, 64, 64))
    expected = network.beside((output.levels or (output.features,)), torch.rand(2, 3, 64, 64))
    torch.testing.assert_close(output.beside, expected)


def test_it_is_trained_beside_the_network_which_it_shapes() -> None:
    torch.manual_seed(0)
    recipe = TrainConfig(size=64, scales=(64,), batch_size=2, lr_max=0.1)
    images = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    targets = torch.full((2, 64, 64), 255, dtype=torch.uint8)  # nothing labelled: its loss alone is left
    network = dressed(Toy())
    optimizer = build_optimizer(network, replace(recipe, weight_decay=0.0))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    first = train_step(network, network, optimizer, images, targets, recipe)
    for _ in range(20):
        last = train_step(network, network, optimizer, images, targets, recipe)
    assert last < first / 2
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert {"beside.convolution.weight", "body.0.weight"} <= changed
    assert "head.weight" not in changed


def test_its_weights_are_in_the_snapshot_and_left_out_where_none_asks_for_them() -> None:
    network = dressed(Toy())
    saved = _saved(network.state_dict())
    plain, other = Toy(), dressed(Toy())
    load_snapshot(plain, saved)
    load_snapshot(other, saved)
    assert torch.equal(plain.head.weight, network.get_parameter("head.weight"))
    assert torch.equal(
        other.get_parameter("beside.convolution.weight"), network.get_parameter("beside.convolution.weight")
    )
    with pytest.raises(
        CheckpointError, match="the snapshot was trained without the Sum that the query's score"
    ):
        load_snapshot(other, _saved(Toy().state_dict()))
    assert TwoHeads().beside is None
