"""The boundary of the predicted object."""

import numpy as np

from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen


class Slope(PixelScore):
    """Length of the gradient of p, by central differences: high in a band along the predicted boundary."""

    top = 2**0.5

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S]; a step from 0 to 1 between two pixels gives 0.5 at both, at the map's side 1."""
        found: Map = np.hypot(*np.gradient(seen.clean))
        return found
