"""ENT: the most uncertain pixels by entropy (Wang and others, 2016)."""

from atal_ray.acquisition.methods.method import Method


class Ent(Method):
    """Top-k of the entropy of the newest snapshot, in each image.

    Exact for two classes, where entropy, margin and least confidence order pixels alike. The original ranks
    images; its other half, pseudo labels of the certain rest, is left out. One pass for an image.
    """

    score = "entropy"
