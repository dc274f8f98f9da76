"""What the trials of a sweep came to: a score at every budget, and how much training it took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from atal_ray.campaign.campaign_folder import MANIFEST, METRICS, CampaignFolder
from atal_ray.config import Config
from atal_ray.metrics.accumulator import Metrics
from atal_ray.studies.sweep.plan import Sweep, Trial

State = Literal["finished", "stopped", "diverged", "failed", "open"]
SHOWN = ("max_f", "mae", "s_measure")


@dataclass(frozen=True)
class Outcome:
    """One trial: its committed rounds, and why there are no more."""

    trial: Trial
    state: State
    scores: Mapping[int, float]
    """Points an image -> the metric that judges."""
    metrics: Mapping[int, Mapping[str, Any]]
    """Points an image -> test set -> ensemble or last -> the main metrics."""
    images: int = 0
    """Training images."""
    shared_rounds: int = 0
    """Rounds that another campaign trained."""
    reason: str = ""
    """Why it failed, or where its training diverged."""

    @property
    def round_passes(self) -> int:
        """Image passes of one round's training."""
        return self.images * self.trial.config.train.epochs


@dataclass(frozen=True)
class Work:
    """Trained rounds and image passes: of this sweep, and of one campaign for every combination of fields and
    budget.
    """

    rounds: int
    passes: int
    separate_rounds: int
    separate_passes: int


@dataclass(frozen=True)
class Best:
    """The best trial and budget."""

    trial: Trial
    points: int
    score: float

    @property
    def config(self) -> Config:
        """Its configuration, ready for `atal run`."""
        return replace(self.trial.config, budget=replace(self.trial.config.budget, total=self.points))


def read_outcome(
    plan: Sweep,
    trial: Trial,
    campaign: CampaignFolder,
    *,
    stopped: bool = False,
    diverged: str = "",
    shared_rounds: int = 0,
    reason: str = "",
) -> Outcome:
    """What the folder of a trial holds; CampaignError names a file of a committed round that was changed or
    lost.
    """
    scores, metrics = {}, {}
    budget, rounds = trial.config.budget, trial.config.rounds
    for number in range(campaign.committed_rounds()):
        points, found = budget.points_at(number), campaign.round(number).read_json(METRICS)
        scores[points] = float(found[plan.judge][plan.member][plan.metric])
        metrics[points] = {
            name: {member: _main(found[name][member]) for member in ("ensemble", "last")} for name in found
        }
    whole: State = "finished" if len(scores) == rounds else "open"
    images = campaign.root.count_rows(MANIFEST) if campaign.root.exists(MANIFEST) else 0
    return Outcome(
        trial,
        "failed" if reason else "diverged" if diverged else "stopped" if stopped else whole,
        scores,
        metrics,
        images,
        shared_rounds,
        reason or diverged,
    )


def _main(data: Mapping[str, Any]) -> dict[str, float]:
    found = Metrics.from_json(data)
    return {name: getattr(found, name) for name in SHOWN}


def find_best(plan: Sweep, outcomes: Sequence[Outcome]) -> Best | None:
    """The best score at a budget of the plan, the cheaper and earlier one where two are equal; None where
    there is none yet.
    """
    found = [
        Best(outcome.trial, points, outcome.scores[points])
        for points in plan.totals
        for outcome in outcomes
        if points in outcome.scores
    ]
    sign = -1 if plan.higher_is_better else 1
    return min(found, key=lambda best: sign * best.score, default=None)


def count_work(plan: Sweep, outcomes: Sequence[Outcome], shared: Sequence[Outcome]) -> Work:
    """Count the trainings of the trials and of what they share, and those that separate campaigns would have
    taken.

    A separate campaign is counted for every budget of the plan that a trial has reached.
    """
    rounds = passes = separate_rounds = separate_passes = 0
    for outcome in (*outcomes, *shared):
        mine = max(0, len(outcome.scores) - outcome.shared_rounds)
        rounds, passes = rounds + mine, passes + mine * outcome.round_passes
    for outcome in outcomes:
        budget = outcome.trial.config.budget
        alone = sum(
            1 + (points - budget.start) // budget.per_round
            for points in plan.totals
            if points in outcome.scores
        )
        separate_rounds, separate_passes = (
            separate_rounds + alone,
            separate_passes + alone * outcome.round_passes,
        )
    return Work(rounds, passes, separate_rounds, separate_passes)
