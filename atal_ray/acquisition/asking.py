"""The method of a configuration with its score and its strategy, ready to choose pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from torch import Tensor

from atal_ray.acquisition.fitted import Fitted, RoundData, State
from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.names import Names
from atal_ray.acquisition.pick import Pick, PixelPool
from atal_ray.acquisition.predictions import Predictions, Wants
from atal_ray.acquisition.registered import METHODS, SCORES, STRATEGIES
from atal_ray.acquisition.scores.pixel_score import PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config import QueryConfig
from atal_ray.config.plugins import settings_of
from atal_ray.config.section import require
from atal_ray.networks.protocol import SaliencyNetwork


@dataclass(frozen=True)
class Asking:
    """A method, whose parts may have been replaced one by one."""

    method: Method
    score: PixelScore | None
    """None where the strategy looks at none."""
    strategy: Strategy
    unfitted: bool = False
    """Whether nothing was fitted to the labelled pixels, so that no part has a state."""

    @classmethod
    def of(cls, query: QueryConfig) -> Self:
        """What a configuration says; ConfigError for a plug-in that there is not."""
        names, speaking = Names.of(query), METHODS.find(query.method)
        method = speaking(settings_of(query, query.method, speaking))
        choosing = STRATEGIES.find(names.strategy)
        strategy = choosing(query, settings_of(query, names.strategy, choosing))
        if names.score is None:
            return cls(method, None, strategy)
        scoring = SCORES.find(names.score)
        score = scoring(settings_of(query, names.score, scoring))
        return cls(method, score, strategy)

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
            beside=score is not None and score.beside is not None,
            passes=self.method.passes if self.method.members == "dropout" else 1,
        )

    @property
    def sees(self) -> frozenset[str]:
        """Which of the fields `image` and `mask` of `Seen` it looks at."""
        return frozenset(name for name in ("image", "mask") if getattr(self.score, name, False))

    def speaking(self, snapshots: Sequence[Any]) -> Sequence[Any]:
        """Those of a trajectory's snapshots, or of what is kept of each, that are asked."""
        if self.method.members == "trajectory":
            return snapshots
        if self.method.members == "searched" and self.method.state:
            return [snapshots[int(number)] for number in self.method.state["members"]]
        return snapshots if self.method.members == "searched" else snapshots[-1:]

    @property
    def _all(self) -> dict[str, Fitted]:
        parts = {"method": self.method, "score": self.score, "strategy": self.strategy}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def _parts(self) -> dict[str, Fitted]:
        return {name: part for name, part in self._all.items() if part.fits}

    def check(self, network: SaliencyNetwork) -> None:
        """Raise ConfigError for a network that a part cannot ask."""
        for part in self._all.values():
            part.check(network)

    @property
    def fits(self) -> bool:
        """Whether a part is fitted to the labelled pixels of a round before it is asked."""
        return self.looks and bool(self._parts) and not self.unfitted

    def fit(self, data: RoundData) -> dict[str, State]:
        """What each part learns, by the name of the part; of a method that chooses members, the others learn
        from those alone.
        """
        states: dict[str, State] = {}
        for name, part in self._parts.items():  # the method first
            part.state = states[name] = part.fit(data)
            if name == "method":
                data.networks = [*self.speaking(data.networks)]
        return states

    def take(self, states: Mapping[str, State]) -> None:
        """Give each part what it has learnt."""
        for name, part in self._parts.items():
            part.state = states[name]

    def for_pictures(self, *, asks: bool) -> Self:
        """What can be shown of a round for which nothing was fitted.

        Args:
            asks: whether the campaign asks for points: where it does not, nothing was trained for the method.
        """
        if not asks and (self.wants.plain or self.method.members == "searched"):
            return replace(self, method=Method(), score=None, unfitted=True)
        fitted = self.score is not None and self.score.fits
        return replace(self, score=None if fitted else self.score, unfitted=True)

    def scored(self, seen: Seen) -> Seen:
        """An image with its scores.

        Raises:
            ConfigError: a score of a user's own gives something else than a map.
        """
        if self.score is None:
            return seen
        score = np.asarray(self.score(seen), np.float32)
        self._require_maps(score.shape, seen.clean.shape)
        return replace(seen, score=score)

    def scored_batch(self, found: Predictions) -> Tensor | None:
        """The scores of a batch [B, S, S] where the members are; None where the score takes arrays.

        Raises:
            ConfigError: as `scored`.
        """
        if self.score is None or not self.score.belongs_to_call("of_batch"):
            return None
        scores = self.score.of_batch(found)
        if scores is None:
            return None
        self._require_maps(scores.shape, found.clean.shape)
        return scores.float()

    def _require_maps(self, found: Sequence[int], wanted: Sequence[int]) -> None:
        require(
            [*found] == [*wanted],
            f"{type(self.score).__name__} gives scores {[*found]}: it must give one for each pixel, "
            f"{[*wanted]}",
        )

    def candidates(self, pixels: int, k: int) -> int | None:
        """How many of the most uncertain pixels it looks at; see `Strategy.candidates`."""
        own = self.strategy.belongs_to_call("candidates")
        return self.strategy.candidates(pixels, k) if own else None

    def pick(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """The k pixels of an image that was scored; see `Strategy`."""
        return self.strategy(pool, seen, k, rng)
