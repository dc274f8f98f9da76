"""What any method has to beat, and what needs no score."""

from atal_ray.acquisition.methods.method import Method


class Random(Method):
    """Uniform random pixels; no pass of a network."""

    strategy = "random"


class Foreground(Method):
    """Random pixels, half of them on the object that the newest snapshot predicts; one pass for an image."""

    strategy = "foreground"


class Centre(Method):
    """Random pixels around the middle of the image; no pass of a network."""

    strategy = "centre"


class Superpixels(Method):
    """The middles of random superpixels; no pass of a network."""

    strategy = "superpixels"


class Grid(Method):
    """Pixels as far as possible from all labelled ones; no pass of a network."""

    strategy = "grid"


class Boundary(Method):
    """The steepest pixels of the predicted boundary, of the top 5 % at random; one pass for an image."""

    score = "boundary"
    strategy = "top-share"
