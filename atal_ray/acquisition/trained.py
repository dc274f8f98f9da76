"""What a method has trained beside the network of the configuration, or in its place."""

from typing import Any

from atal_ray import seeding
from atal_ray.acquisition.names import Names
from atal_ray.acquisition.registered import METHODS, SCORES
from atal_ray.config import Config, NetworkConfig
from atal_ray.config.plugins import settings_of
from atal_ray.networks.beside import attach
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.registry import build


def networks_of(config: Config) -> list[NetworkConfig]:
    """The networks behind the snapshots 1 .. L of a round: one and the same, unless a method searches."""
    count = config.train.cycles
    if config.train.ensemble != "networks" or not config.asks:
        return [config.network] * count
    kind = METHODS.find(config.query.method)
    method = kind(settings_of(config.query, config.query.method, kind))
    return [method.network(config.network, number, config.seed) for number in range(1, count + 1)]


def build_member(config: Config, number: int, *, load_weights: bool, beside: bool = True) -> SaliencyNetwork:
    """The network of snapshot 1 .. L, with what trains beside it.

    Args:
        config: of the campaign.
        number: of the snapshot.
        load_weights: as for `networks.build`.
        beside: whether the module beside it is wanted.
    """
    network = build(networks_of(config)[number - 1], load_weights=load_weights)
    if beside:
        add_beside(network, config)
    return network


def add_beside(network: SaliencyNetwork, config: Config) -> None:
    """Attach the module that a score has trained beside a network; nothing where it has none."""
    name = Names.of(config.query).score if config.asks else None
    kind = None if name is None else SCORES.find(name)
    if kind is not None and kind.beside is not None:
        attach(network, kind.beside, settings_of(config.query, str(name), kind))


def own_training(config: Config) -> tuple[Any, ...]:
    """What of a method the training of a round depends on, to be compared; empty for most methods."""
    if not config.asks:
        return ()
    query, method, name = config.query, METHODS.find(config.query.method), Names.of(config.query).score
    kind = None if name is None else SCORES.find(name)
    beside = kind is not None and kind.beside is not None
    found: tuple[Any, ...] = (
        (name, settings_of(query, str(name), kind)) if kind is not None and beside else ()
    )
    if method.held_out:
        found += (query.method, method.held_out)
    if config.train.ensemble == "networks":
        found += tuple(network for network in networks_of(config) if network != config.network)
    return found


def is_held_out(share: float, seed: int, image_id: str, x: int, y: int) -> bool:
    """Whether a labelled point is one that no network is trained on; the same in every round."""
    return share > 0 and seeding.derive(seed, "held out", image_id, x, y) % 10**6 < share * 10**6
