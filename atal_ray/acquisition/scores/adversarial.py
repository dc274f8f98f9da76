"""Diff of Eq. 3: scores that compare an image with its attacked version."""

from typing import TYPE_CHECKING

from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import difference

if TYPE_CHECKING:
    from torch import Tensor

    from atal_ray.acquisition.predictions import Predictions


class FlipMargin(PixelScore):
    """[flipped] + 1 - min(BvSB(p), BvSB(p_adv)): flipped pixels first, the smallest margin first."""

    attacked = True
    top = 2.0

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 2]."""
        return difference(seen.clean, seen.attacked, "flip-margin")

    def of_batch(self, found: "Predictions") -> "Tensor | None":
        """The same of a batch."""
        assert found.attacked is not None
        return difference(found.clean, found.attacked, "flip-margin")


class MarginChange(PixelScore):
    """|BvSB(p) - BvSB(p_adv)| as printed; it does not see a confident flip such as 0.9 to 0.1."""

    attacked = True

    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        return difference(seen.clean, seen.attacked, "margin-change")

    def of_batch(self, found: "Predictions") -> "Tensor | None":
        """The same of a batch."""
        assert found.attacked is not None
        return difference(found.clean, found.attacked, "margin-change")
