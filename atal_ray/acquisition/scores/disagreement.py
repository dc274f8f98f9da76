"""How much the members disagree."""

from typing import TYPE_CHECKING

from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import entropy

if TYPE_CHECKING:
    from torch import Tensor

    from atal_ray.acquisition.predictions import Predictions


class Bald(PixelScore):
    """H(mean of p_m) - mean of H(p_m), in bits (Houlsby and others, 2011): the members' mutual information.

    It is 0 where all members say the same, however unsure they are.
    """

    members = True

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        found: Map = entropy(seen.members.mean(0)) - entropy(seen.members).mean(0)
        return found.clip(0)

    def of_batch(self, found: "Predictions") -> "Tensor | None":
        """The same of a batch, but for the last bits of its logarithms."""
        assert found.members is not None
        return (entropy(found.members.mean(1)) - entropy(found.members).mean(1)).clip(0)
