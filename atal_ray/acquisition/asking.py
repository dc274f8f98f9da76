"""The method of a configuration with its score and its strategy, ready to choose pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from atal_ray.acquisition.methods.method import Members
from atal_ray.acquisition.names import Names
from atal_ray.acquisition.pick import Pick, PixelPool
from atal_ray.acquisition.predictions import Wants
from atal_ray.acquisition.registered import METHODS, SCORES, STRATEGIES
from atal_ray.acquisition.scores.pixel_score import PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config import QueryConfig
from atal_ray.config.plugins import settings_of
from atal_ray.config.section import require


@dataclass(frozen=True)
class Asking:
    """A method, whose parts may have been replaced one by one."""

    members: Members
    score: PixelScore | None
    """None where the strategy looks at none."""
    strategy: Strategy

    @classmethod
    def of(cls, query: QueryConfig) -> Self:
        """What a configuration says; ConfigError for a plug-in that there is not."""
        names, method = Names.of(query), METHODS.find(query.method)
        choosing = STRATEGIES.find(names.strategy)
        strategy = choosing(query, settings_of(query, names.strategy, choosing))
        if names.score is None:
            return cls(method.members, None, strategy)
        scoring = SCORES.find(names.score)
        score = scoring(settings_of(query, names.score, scoring))
        return cls(method.members, score, strategy)

    @property
    def looks(self) -> bool:
        """Whether any network is run."""
        return self.strategy.looks

    @property
    def wants(self) -> Wants:
        """What it looks at."""
        score = self.score
        return Wants(
            attacked=score is not None and score.attacked,
            features=self.strategy.features or (score is not None and score.features),
            members=score is not None and score.members,
        )

    def speaking(self, snapshots: Sequence[Any]) -> Sequence[Any]:
        """Those of a trajectory's snapshots, or of what is kept of each, that are asked."""
        return snapshots if self.members == "trajectory" else snapshots[-1:]

    def scored(self, seen: Seen) -> Seen:
        """An image with its scores.

        Raises:
            ConfigError: a score of a user's own gives something else than a map.
        """
        if self.score is None:
            return seen
        score = np.asarray(self.score(seen), np.float32)
        require(
            score.shape == seen.clean.shape,
            f"{type(self.score).__name__} gives scores {list(score.shape)}: it must give one for each pixel, "
            f"{list(seen.clean.shape)}",
        )
        return replace(seen, score=score)

    def pick(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """The k pixels of an image that was scored; see `Strategy`."""
        return self.strategy(pool, seen, k, rng)
