"""The file in which the folder of a round keeps what its method has learnt of the labelled pixels."""

import io
from collections.abc import Mapping

import torch

from atal_ray.acquisition.fitted import State
from atal_ray.campaign.campaign_folder import FITTED
from atal_ray.store.folder import Folder


def write_fitted(folder: Folder, states: Mapping[str, State]) -> None:
    """Keep the tensors of each part by name; the file appears whole."""
    buffer = io.BytesIO()
    torch.save({part: dict(state) for part, state in states.items()}, buffer)
    folder.write_bytes(FITTED, buffer.getvalue())


def read_fitted(folder: Folder) -> dict[str, State]:
    """The tensors of each part by name; nothing but tensors is unpickled."""
    found: dict[str, State] = torch.load(
        io.BytesIO(folder.read_bytes(FITTED)), weights_only=True, map_location="cpu"
    )
    return found
