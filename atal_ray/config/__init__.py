"""The configuration of a campaign: one tree of frozen dataclasses, from which the command line and the YAML
follow.
"""

from dataclasses import dataclass, field
from typing import Any

from atal_ray.config.annotation import AnnotationConfig
from atal_ray.config.data import BudgetConfig, DataConfig
from atal_ray.config.query import AttackConfig, QueryConfig, RegionConfig
from atal_ray.config.report import ReportConfig
from atal_ray.config.resources import ResourceConfig
from atal_ray.config.section import Section, require
from atal_ray.config.training import NetworkConfig, TrainConfig

__all__ = [
    "AnnotationConfig",
    "AttackConfig",
    "BudgetConfig",
    "Config",
    "DataConfig",
    "NetworkConfig",
    "QueryConfig",
    "RegionConfig",
    "ReportConfig",
    "ResourceConfig",
    "TrainConfig",
]


@dataclass(frozen=True, kw_only=True)
class Config(Section):
    """Everything that a campaign's result depends on, how it is spread (`resources`), and what is shown."""

    seed: int = 0
    """Seed of every random number."""
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    regions: RegionConfig = field(default_factory=RegionConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    annotation: AnnotationConfig = field(default_factory=AnnotationConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    resources: ResourceConfig = field(default_factory=ResourceConfig)

    def check_relations(self) -> None:
        """Raise ConfigError where sections contradict each other."""
        candidates = int(self.train.size**2 * self.query.top_percent / 100)
        require(
            candidates >= self.budget.per_round,
            f"budget.per-round (k) {self.budget.per_round} is larger than the candidate set: "
            f"{self.query.top_percent:g} % of {self.train.size}x{self.train.size} pixels is {candidates}",
        )
        if self.query.scope == "dataset":
            self._check_one_budget()
        if self.asks:
            self._check_members()
        require(
            self.resources.backend != "inline" or self.train.workers == 1,
            f"resources.backend inline trains in this process, without Ray: it needs train.workers 1, "
            f"not {self.train.workers}",
        )
        dense = self.regions.labels == "dense"
        require(
            dense or not self.train.needs_masks,
            f"train.loss {self.train.loss} with train.augment {self.train.augment} needs full masks: "
            'points are trained with bce and crop, or set regions.labels to "dense"',
        )
        require(
            not (dense and self.data.points),
            "data.points gives labelled points, but regions.labels dense reads full masks: drop one",
        )

    def _check_one_budget(self) -> None:
        query, k = self.query, self.budget.per_round
        require(
            query.floor <= k <= query.ceiling,
            "query.scope dataset needs query.floor <= budget.per-round <= query.ceiling, "
            f"not {query.floor} <= {k} <= {query.ceiling}",
        )
        strategy = query.strategy or query.plugin("method", query.method).strategy
        require(
            strategy == "rds",
            "query.scope dataset is RDS over all images: it needs query.strategy rds, not "
            f"{query.strategy or f'{strategy}, that of {query.method}'}",
        )

    def _check_members(self) -> None:
        query = self.query
        if query.method == "atal" and query.score is None:
            return  # the default suits any training, and a plug-in takes time to import
        method: Any = query.plugin("method", query.method)
        require(
            not method.networks or self.train.ensemble == "networks",
            f"query.method {query.method} asks networks that are trained apart: set train.ensemble "
            "networks, and train.epochs to what all train.cycles of them take together",
        )
        require(
            method.members != "dropout" or self.network.dropout > 0,
            f"query.method {query.method} asks one network in several passes with dropout: set "
            "network.dropout, such as 0.25, with which it is trained too",
        )
        if method.members == "dropout" and query.score is not None:
            kind = query.plugin("score", query.score)
            require(
                not kind.attacked and kind.beside is None,
                f"query.score {query.score} looks at more than passes with dropout give: query.method "
                f"{query.method} takes a score of predictions, such as entropy or vote-entropy",
            )
        scored = query.plugin("strategy", query.strategy or method.strategy).scored
        score = query.score or method.score
        several = self.train.cycles > 1 or method.members == "dropout"
        require(
            (several and method.members != "newest")
            or not scored
            or not query.plugin("score", score).members,
            f"query.score {score} compares several members: it needs a query.method that asks them all, such "
            "as atal or den, and train.cycles above 1",
        )

    @property
    def asks(self) -> bool:
        """Whether points are asked for: not where full masks or a table of points say all."""
        return self.regions.labels != "dense" and self.data.points is None

    @property
    def rounds(self) -> int:
        """Rounds of the campaign; one where nothing is asked."""
        return self.budget.rounds if self.asks else 1
