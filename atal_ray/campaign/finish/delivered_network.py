"""The network that a finished campaign delivers: found in its folder, read, exported."""

from pathlib import Path

import torch

from atal_ray import networks
from atal_ray.campaign.finish.finish_plan import DeliveredNetwork
from atal_ray.config import config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.errors import CampaignError, command
from atal_ray.inference.exported import exported
from atal_ray.store.folder import Folder

WEIGHTS, NETWORK = "network.pt", "network.yaml"


def folder_of(where: Path | str) -> Folder:
    """The folder of a finish, or that of its campaign where it lies in final/.

    Raises:
        CampaignError: neither is there.
    """
    folder = Folder.at(where)
    for place in (folder, folder / "final"):
        if place.exists(NETWORK) and place.exists(WEIGHTS):
            return place
    if folder.exists(CONFIG):
        way = command("finish", folder.uri, f"{folder.uri}/final")
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


def export(where: Path | str, file: Path) -> None:
    """Write the network of a finished campaign as TorchScript; the file appears whole.

    Args:
        where: see `folder_of`.
        file: to write.
    """
    folder = folder_of(where)
    made = exported(read(folder), described(folder).size)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".unfinished-{file.name}")
    try:
        torch.jit.save(made, str(unfinished))
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
