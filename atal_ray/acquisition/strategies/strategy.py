"""The interface of a strategy."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from atal_ray.acquisition.fitted import Fitted
from atal_ray.acquisition.pick import Pick, PixelPool
from atal_ray.acquisition.seen import Seen
from atal_ray.config import QueryConfig
from atal_ray.config.plugins import Plugin


class Strategy(Plugin, Fitted, ABC):
    """Which pixels of an image are asked for; it says what it looks at, and gets nothing else.

    Args:
        query: the whole section; K and the cover of RDS are its fields.
        settings: an instance of `Settings`, or None where it has none.
    """

    looks: ClassVar[bool] = True
    """Whether it looks at what the members say: where it does not, no network is run."""
    scored: ClassVar[bool] = True
    """Whether it looks at `Seen.score`."""
    features: ClassVar[bool] = False
    """Whether it looks at `Seen.features`."""

    def __init__(self, query: QueryConfig, settings: Any = None) -> None:
        self.query, self.settings = query, settings

    @abstractmethod
    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """The k pixels of an image, in the order of asking; fewer where fewer are free.

        Args:
            pool: the pixels that may be asked for.
            seen: what the members say.
            k: points.
            rng: the only source of chance: it depends on seed, round and image.

        Raises:
            DivergedError: a score or a feature is not finite.
        """

    def candidates(self, pixels: int, k: int) -> int | None:
        """How many of the most uncertain free pixels it looks at; None: at all. A class with another
        `__call__` does not inherit it.

        Where it is a number and the score has `of_batch`, nothing else of the maps leaves a GPU: other pixels
        are not free, and their scores and predictions are 0; all scores are NaN where one is not finite.
        `Seen.sampled`, not `Seen.features`, then gives `sample_bilinear` the features of candidates and
        labelled points. The other fields of `Seen` are empty.

        Args:
            pixels: of the image on the query grid, each counted once.
            k: points that it is to choose.
        """
        return None
