"""The names of a configuration's method and its parts, for people."""

from dataclasses import dataclass
from typing import Self

from atal_ray.acquisition.registered import METHODS, SCORES, STRATEGIES
from atal_ray.config import QueryConfig


@dataclass(frozen=True)
class Names:
    """The names of a method and its parts."""

    method: str
    score: str | None
    """None where the strategy looks at none."""
    strategy: str

    @classmethod
    def of(cls, query: QueryConfig) -> Self:
        """Those of a configuration; ConfigError for a plug-in that there is not."""
        method = METHODS.find(query.method)
        strategy = query.strategy or method.strategy
        scored = STRATEGIES.find(strategy).scored
        return cls(query.method, (query.score or method.score) if scored else None, strategy)

    @property
    def is_own(self) -> bool:
        """Whether both parts are the method's own."""
        method = METHODS.find(self.method)
        return self.strategy == method.strategy and self.score in (None, method.score)

    def __str__(self) -> str:
        """Such as "atal", or "atal with entropy and top"."""
        if self.is_own:
            return self.method
        return f"{self.method} with {' and '.join(filter(None, (self.score, self.strategy)))}"

    @property
    def top_score(self) -> float | None:
        """The largest score; None where each image has its own scale."""
        return 1.0 if self.score is None else SCORES.find(self.score).top
