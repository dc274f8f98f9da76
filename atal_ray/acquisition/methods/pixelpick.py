"""PixelPick: random pixels of the least certain five percent (Shin, Xie, Albanie, 2021)."""

from atal_ray.acquisition.methods.method import Method


class PixelPick(Method):
    """k random pixels of the 5 % with the smallest margin.

    Exact but for the network, and for the side that images are scored at: the original scores them as they
    are. One pass for an image. Setting: `query.top-share.percent`.
    """

    score = "margin"
    strategy = "top-share"
