"""The snapshots of one training as an ensemble of frozen networks."""

import torch

from atal_ray.config import Config
from atal_ray.files import Folder
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.registry import build
from atal_ray.networks.weights import load_snapshot


def read_snapshots(folder: Folder, config: Config, device: torch.device) -> list[SaliencyNetwork]:
    """The networks 1.pt .. L.pt of a folder: frozen, in evaluation mode, in the order of the trajectory."""
    snapshots = []
    for number in range(1, config.train.cycles + 1):
        network = build(config.network, load_weights=False)
        load_snapshot(network, folder.read_bytes(f"{number}.pt"))
        snapshots.append(network.to(device).eval().requires_grad_(False))
    return snapshots
