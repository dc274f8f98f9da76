"""Networks by their name in the configuration: registered here, or a user's own as `module:Class`."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from atal_ray.config import NetworkConfig
from atal_ray.config.plugins import own_class
from atal_ray.errors import ConfigError, meant
from atal_ray.networks.dropout import add_dropout
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.weights import COUNTER, fetch_resnet50, load_backbone

Network = TypeVar("Network", bound=SaliencyNetwork)

_NETWORKS: dict[str, type[SaliencyNetwork]] = {}


def register(name: str) -> Callable[[type[Network]], type[Network]]:
    """Class decorator that makes a network known as `name`; raises ConfigError for a name that is taken."""

    def add(network: type[Network]) -> type[Network]:
        if name in _NETWORKS:
            raise ConfigError(f"a network is already registered as {name!r}: choose another name")
        _NETWORKS[name] = network
        return network

    return add


def names() -> tuple[str, ...]:
    """Names of the registered networks."""
    return tuple(sorted(_NETWORKS))


def find(name: str) -> type[SaliencyNetwork]:
    """The class of a registered name, or of `module:Class`, whose module is imported from the Python path.

    Raises:
        ConfigError: for an unknown name, a module that cannot be imported, or a class that is no
            SaliencyNetwork.
    """
    if ":" in name:
        return own_class("network.name", name, SaliencyNetwork)  # type: ignore[type-abstract]
    if name not in _NETWORKS:
        raise ConfigError(
            f"network.name is {name!r}{meant(name, names())}: known networks are {', '.join(names())}; "
            "give your own as module:Class"
        )
    return _NETWORKS[name]


def name_of(state: Mapping[str, Tensor]) -> str | None:
    """The registered network that a state dict fits by its keys, published or own, and shapes; or None."""
    shapes = {key: value.shape for key, value in state.items() if not key.endswith(COUNTER)}
    for name, network in _NETWORKS.items():
        plain, expected = _shapes(network)
        if {plain.own_key(key): shape for key, shape in shapes.items()} == expected:
            return name
    return None


@cache
def _shapes(network: type[SaliencyNetwork]) -> tuple[SaliencyNetwork, dict[str, torch.Size]]:
    """A network of this class without values, and the shapes of its state by key."""
    with torch.device("meta"):  # no memory, no random numbers
        plain = network.from_config(NetworkConfig())
    return plain, {key: value.shape for key, value in plain.state_dict().items() if not key.endswith(COUNTER)}


def build(config: NetworkConfig, *, load_weights: bool = True) -> SaliencyNetwork:
    """Build a network with the weights a round starts from.

    Random weights come from torch's global generator: call `torch.manual_seed` first.

    Args:
        config: name, backbone weights and stride.
        load_weights: False where a snapshot is loaded next, so that no backbone weights are read or
            downloaded.

    Raises:
        ConfigError: for a name that `find` refuses, a class that cannot be made (it lacks `forward`, or
            `__init__` takes arguments), or weights that do not suit the network.
        CheckpointError: for weights that cannot be fetched or read.
    """
    try:
        network = find(config.name).from_config(config)
    except TypeError as error:
        raise ConfigError(
            f"network.name is {config.name!r}, but its class cannot be made from the configuration: {error}"
        ) from error
    if not network.backbone_prefix and config.weights not in (None, "random"):
        raise ConfigError(
            f"network.weights is {config.weights!r}, but {config.name} starts from random weights: "
            "leave it unset"
        )
    if config.dropout:
        add_dropout(network, config.dropout, config.name)
    if load_weights and network.backbone_prefix and config.weights != "random":
        load_backbone(network, _weights_file(config))
    return network


def _weights_file(config: NetworkConfig) -> Path:
    if config.weights is not None:
        return Path(config.weights)
    if config.stride_on != "3x3":
        raise ConfigError(
            f"network.stride-on is {config.stride_on}, but PyTorch's published weights were trained with "
            "3x3: give a file in network.weights that was trained with this stride"
        )
    return fetch_resnet50(Path(torch.hub.get_dir()) / "checkpoints")
