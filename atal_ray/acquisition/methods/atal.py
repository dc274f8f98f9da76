"""ATAL: adversarial attack, trajectory of snapshots, RDS (Wu and others, AAAI 2023)."""

from atal_ray.acquisition.methods.method import Method


class Atal(Method):
    """The method of the paper, and the default; its settings are the fields of `query` and `attack`.

    Passes for an image: n of the attack with a gradient, and 2L - 1 without.
    """

    members = "trajectory"
    score = "flip-margin"
    strategy = "rds"
