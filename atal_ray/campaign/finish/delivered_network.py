"""The network that a finished campaign delivers: found in its folder, read, exported."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import torch

from atal_ray import networks
from atal_ray.config import config_file
from atal_ray.config.bounds import Side
from atal_ray.config.config_file import CONFIG
from atal_ray.config.section import Section, require
from atal_ray.config.training import NetworkConfig
from atal_ray.errors import CampaignError, command
from atal_ray.inference.exported import exported
from atal_ray.report.delivered_figures import FINAL
from atal_ray.store.folder import Folder
from atal_ray.store.uri import is_uri

WEIGHTS, NETWORK = "network.pt", "network.yaml"


@dataclass(frozen=True, kw_only=True)
class DeliveredNetwork(Section):
    """What must be known of a network's weights to use them."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    size: Side = 352
    """Side of the square that images are resized to."""


def folder_of(where: Path | str) -> Folder:
    """The folder of a finish, or that of its campaign where it lies in final/.

    Raises:
        CampaignError: neither is there.
    """
    folder = Folder.at(where)
    for place in (folder, folder / FINAL):
        if place.exists(NETWORK) and place.exists(WEIGHTS):
            return place
    if folder.exists(CONFIG):
        way = command("finish", folder.uri, (folder / FINAL).uri)
        raise CampaignError(
            f"{folder.uri} is a campaign that is not finished: train its network first: {way}"
        )
    raise CampaignError(f"{folder.uri} holds no {WEIGHTS} and {NETWORK}: name the folder of an `atal finish`")


def described(folder: Folder) -> DeliveredNetwork:
    """Which network lies in the folder."""
    return config_file.saved(folder, NETWORK, DeliveredNetwork)


def read(folder: Folder) -> networks.SaliencyNetwork:
    """The network, frozen, in evaluation mode, on the CPU; CheckpointError where its weights do not fit."""
    network = networks.build(described(folder).network, load_weights=False)
    networks.load_snapshot(network, folder.read_bytes(WEIGHTS), folder.where(WEIGHTS))
    return network.eval().requires_grad_(False)


def export(where: Path | str, file: str) -> None:
    """Write the network of a finished campaign as TorchScript; the file appears whole.

    Args:
        where: see `folder_of`.
        file: a path to write.

    Raises:
        CampaignError, CheckpointError, ConfigError: what is wrong with the folder, the network or the file.
    """
    require(not is_uri(file), f"{file} is a URI: name a file on a disk, and copy it from there")
    folder = folder_of(where)
    data, path = BytesIO(), Path(file)
    torch.jit.save(exported(read(folder), described(folder).size), data)
    Folder.at(path.parent).write_bytes(path.name, data.getvalue())
