"""DEN: a deep ensemble (Lakshminarayanan, Pritzel, Blundell, 2017)."""

from atal_ray.acquisition.methods.method import Method


class Den(Method):
    """Top-k of the entropy of the mean of L networks, each trained for itself; `--query.score bald` for BALD.

    Exact, with L = 5 as in the paper's comparison. The members differ in the weights of what is not
    pretrained, in the order of the images, their crops and sides; adversarial training is left out. L
    trainings a round, L passes for an image.
    """

    members = "trajectory"
    networks = True
    score = "entropy"
