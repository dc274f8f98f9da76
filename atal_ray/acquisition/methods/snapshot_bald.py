"""BALD over the snapshots of one training."""

from atal_ray.acquisition.methods.method import Method


class SnapshotBald(Method):
    """Top-k of the mutual information of the trajectory's snapshots.

    An adaptation: the original draws members by dropout or trains several networks. L passes for an image.
    """

    members = "trajectory"
    score = "bald"
