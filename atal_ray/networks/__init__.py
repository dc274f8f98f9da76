"""Saliency networks: `build` makes the one a configuration names."""

# Importing a network registers it.
from atal_ray.networks import f3net, f3net_small, minet, pfsnet  # noqa: F401
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.networks.registry import build, find, names, register
from atal_ray.networks.snapshot_reader import load_snapshot
from atal_ray.networks.weights import fetch_resnet50, load_backbone

__all__ = [
    "SaliencyNetwork",
    "SaliencyOutput",
    "build",
    "fetch_resnet50",
    "find",
    "load_backbone",
    "load_snapshot",
    "names",
    "register",
]
