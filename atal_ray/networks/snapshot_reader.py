"""Reads whole networks back: the snapshots 1.pt .. L.pt of a round, and published checkpoints."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from atal_ray.config import Config
from atal_ray.errors import CheckpointError
from atal_ray.networks.beside import PREFIX
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.registry import build, name_of
from atal_ray.networks.weights import load_strictly, read_state
from atal_ray.store.folder import Folder

DATA_PARALLEL = "module."  # before every key, as data-parallel training leaves it

Build = Callable[[int], SaliencyNetwork]
"""Makes the network that the snapshot of a number is loaded into."""


def load_snapshot(network: SaliencyNetwork, source: str | Path | bytes, name: str = "the snapshot") -> None:
    """Load the whole state of a network, all of it or (on an error) nothing; what a module beside it has
    learnt is left out where the network has none.

    Args:
        network: the network the snapshot was taken of.
        source: file, or its bytes; keys as here or as published (`published_prefixes`), with or without
            `module.`.
        name: what to call bytes in an error; a file has its own.

    Raises:
        CheckpointError: for a snapshot that is missing, damaged, or of another network, which is named if it
            is known.
    """
    name = name if isinstance(source, bytes) else str(source)
    state = _plain(read_state(source if isinstance(source, bytes) else Path(source), name))
    if network.beside is not None and not any(key.startswith(PREFIX) for key in state):
        raise CheckpointError(
            f"{name} was trained without the {type(network.beside).__name__} that the query's score looks "
            "at: ask by another score, or let a campaign train with this one"
        )
    if network.beside is None:
        state = {key: value for key, value in state.items() if not key.startswith(PREFIX)}
    own = {network.own_key(key): value for key, value in state.items()}
    try:
        load_strictly(network, own, name, f"another network than {type(network).__name__}")
    except CheckpointError as error:
        known = name_of(state)
        if known is None:
            raise
        raise CheckpointError(
            f"{name} holds weights of the network {known}, not of {type(network).__name__}"
        ) from error


def _plain(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    wrapped = all(key.startswith(DATA_PARALLEL) for key in state)
    return {key.removeprefix(DATA_PARALLEL): value for key, value in state.items()} if wrapped else state


def require_snapshots(folder: Folder, config: Config, build_one: Build | None = None) -> None:
    """Read each of the snapshots 1.pt .. L.pt of a folder, and keep none.

    Raises:
        CampaignError, CheckpointError: names the one that is missing, damaged, or of another network.
    """
    for number in range(1, config.train.cycles + 1):
        _read(folder, number, build_one or _builder(config))


def read_snapshots(
    folder: Folder,
    config: Config,
    device: torch.device,
    numbers: Iterable[int] | None = None,
    build_one: Build | None = None,
) -> list[SaliencyNetwork]:
    """The networks of a folder's snapshots: frozen, in evaluation mode, in the order of the trajectory.

    Args:
        folder: holds 1.pt .. L.pt.
        config: says how many, and of which network.
        device: where they are put.
        numbers: which of them, from 1; unset: all.
        build_one: makes each network; unset: that of the configuration.
    """
    wanted = range(1, config.train.cycles + 1) if numbers is None else numbers
    read = (_read(folder, number, build_one or _builder(config)) for number in wanted)
    return [network.to(device).eval().requires_grad_(False) for network in read]


def _builder(config: Config) -> Build:
    return lambda number: build(config.network, load_weights=False)


def _read(folder: Folder, number: int, build_one: Build) -> SaliencyNetwork:
    network = build_one(number)
    load_snapshot(network, folder.read_bytes(f"{number}.pt"), folder.where(f"{number}.pt"))
    return network
