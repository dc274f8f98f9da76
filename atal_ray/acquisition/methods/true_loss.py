"""The true loss as a score: what a method could do that knew the masks."""

import numpy as np

from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen

LEAST = 1e-6
"""The probability of the truth is kept so far from 0."""


class TrueLoss(PixelScore):
    """-log p(y) of the mean p of the members, in nats, where y is the true mask: a leak."""

    mask = True
    top = float(-np.log(LEAST))

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S]."""
        of_truth = np.where(seen.mask, seen.clean, 1 - seen.clean)
        return np.asarray(-np.log(of_truth.clip(LEAST, 1)))


class Oracle(Method):
    """Top-k of the true loss: the upper reference of a comparison, never a competitor.

    One pass for an image.
    """

    score = "true-loss"
