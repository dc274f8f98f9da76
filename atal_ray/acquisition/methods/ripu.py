"""RIPU-PA: pixels in impure and uncertain regions (Xie and others, 2022)."""

from atal_ray.acquisition.methods.method import Method


class Ripu(Method):
    """Top-k of region impurity times region uncertainty.

    The original buys 40 pixels an image and masks a window around each pick; here the campaign says how many,
    and a click's superpixel is not asked about again. One pass for an image. Setting:
    `query.impurity.radius`.
    """

    score = "impurity"
