"""Trials that differ in their seed alone, taken together: what is the method's doing, and what is chance?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from atal_ray.report.tables import NOTHING
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.result import Outcome

SEED = "seed"


@dataclass(frozen=True)
class OverSeeds:
    """The trials of all seeds with otherwise equal fields."""

    name: str
    """The other fields, such as top_percent 3, cycles 5."""
    scores: Mapping[int, Sequence[float]]
    """Points an image -> the metric that judges, of each seed that got so far."""

    def mean(self, points: int) -> float | None:
        """The mean over the seeds at a budget; None where no seed got so far."""
        return fmean(self.scores[points]) if points in self.scores else None

    def spread(self, points: int) -> float:
        """The sample standard deviation over the seeds at a budget; 0 for a single one."""
        return stdev(self.scores[points]) if len(self.scores[points]) > 1 else 0.0

    def text(self, points: int) -> str:
        """Such as 0.6614 ± 0.0120 (3)."""
        if points not in self.scores:
            return NOTHING
        return f"{self.mean(points):.4f} ± {self.spread(points):.4f} ({len(self.scores[points])})"


def over_seeds(plan: Sweep, outcomes: Sequence[Outcome]) -> list[OverSeeds]:
    """One group for each combination of the fields other than the seed; empty where no seed was varied."""
    if not any(SEED in axis.paths for axis in plan.axes):
        return []
    groups: dict[str, dict[int, list[float]]] = {}
    for outcome in outcomes:
        fields = {path: value for path, value in outcome.trial.fields.items() if path != SEED}
        name = (
            ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in fields.items()) or "all trials"
        )
        scores = groups.setdefault(name, {})
        for points, score in outcome.scores.items():
            scores.setdefault(points, []).append(score)
    return [OverSeeds(name, scores) for name, scores in groups.items()]
