"""Reads whole networks back: the snapshots 1.pt .. L.pt of a round, and published checkpoints."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from atal_ray.config import Config
from atal_ray.errors import CheckpointError
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.registry import build, name_of
from atal_ray.networks.weights import load_strictly, read_state
from atal_ray.store.folder import Folder

DATA_PARALLEL = "module."  # before every key, as data-parallel training leaves it


def load_snapshot(network: SaliencyNetwork, source: str | Path | bytes, name: str = "the snapshot") -> None:
    """Load the whole state of a network, all of it or (on an error) nothing.

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


def require_snapshots(folder: Folder, config: Config) -> None:
    """Read each of the snapshots 1.pt .. L.pt of a folder, and keep none.

    Raises:
        CampaignError, CheckpointError: names the one that is missing, damaged, or of another network.
    """
    network = build(config.network, load_weights=False)
    for number in range(1, config.train.cycles + 1):
        load_snapshot(network, folder.read_bytes(f"{number}.pt"), folder.where(f"{number}.pt"))


def read_snapshots(folder: Folder, config: Config, device: torch.device) -> list[SaliencyNetwork]:
    """The networks 1.pt .. L.pt of a folder: frozen, in evaluation mode, in the order of the trajectory."""
    snapshots = []
    for number in range(1, config.train.cycles + 1):
        network = build(config.network, load_weights=False)
        load_snapshot(network, folder.read_bytes(f"{number}.pt"), folder.where(f"{number}.pt"))
        snapshots.append(network.to(device).eval().requires_grad_(False))
    return snapshots
