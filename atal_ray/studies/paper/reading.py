"""What the finished units of a study say: figures with their spread, and differences with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import IMAGE_SCORES, CampaignFolder
from atal_ray.campaign.cost import FIT_COST, QUERY_COST, TRAINING_COST, read_cost
from atal_ray.campaign.scores_of_images import scores_of
from atal_ray.store.folder import Folder
from atal_ray.studies.paired_bootstrap import FIGURES, Figures, compared, draws, resampled, spread
from atal_ray.studies.paper.arm import MARGIN, Arm, Claim
from atal_ray.studies.paper.places import mean_delta, share_alone
from atal_ray.studies.paper.units import UNITS, name_of_unit

Verdict = str
MEASURES = {"diverse": mean_delta, "spread": share_alone}
"""What claims that are not about maxF look at; more is better."""
HOLDS, FAILS, UNDECIDED, OPEN = "holds", "does not hold", "not decidable at this scale", "not finished"


@dataclass(frozen=True)
class Reading:
    """The results of a study's arms.

    Args:
        root: folder of the studies.
        arms: what is compared.
        seeds: of each arm.
        sets: names of the test sets.
    """

    root: Folder
    arms: Sequence[Arm]
    seeds: Sequence[int]
    sets: Sequence[str]

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(one for one in self.arms if one.name == name)

    def campaign(self, arm: Arm, seed: int) -> CampaignFolder:
        """The folder of an arm's campaign."""
        return CampaignFolder(self.root / UNITS / name_of_unit(replace(arm.config, seed=seed)))

    def round_at(self, arm: Arm, clicks: int | None) -> int:
        """The round in which an arm has so many clicks; None: its last."""
        numbers = range(arm.config.rounds)
        if not arm.clicks:
            return 0
        at = arm.clicks[-1] if clicks is None else clicks
        return next(number for number in numbers if arm.config.budget.points_at(number) == at)

    def done(self, arm: Arm, clicks: int | None = None) -> list[int]:
        """The seeds of which an arm is finished at so many clicks."""
        number = self.round_at(arm, clicks)
        return [seed for seed in self.seeds if self.campaign(arm, seed).round(number).exists(IMAGE_SCORES)]

    def figures(self, arm: Arm, test_set: str, seeds: Sequence[int], clicks: int | None = None) -> Figures:
        """The figures of an arm in every resample of a test set, as the mean over seeds."""
        number = self.round_at(arm, clicks)
        scores = []
        for seed in seeds:
            table = self.campaign(arm, seed).round(number).read_table(IMAGE_SCORES)
            scores.append(scores_of(table, test_set))
        return resampled(scores, self._times(test_set, len(scores[0]["mae"])))

    def row(self, arm: Arm, clicks: int | None = None) -> dict[str, Any]:
        """Means and ranges over seeds of an arm, and what it cost up to there."""
        seeds, number = self.done(arm, clicks), self.round_at(arm, clicks)
        found: dict[str, Any] = {
            "arm": arm.name,
            "clicks": arm.config.budget.points_at(number) if arm.clicks else None,
            "labels": arm.config.regions.labels,
            "seeds": seeds,
            "figures": {},
        }
        if seeds:
            for name in self.sets:
                each = [self.figures(arm, name, [seed], clicks) for seed in seeds]
                found["figures"][name] = {
                    figure: spread([float(one[figure][0]) for one in each]) for figure in FIGURES
                }
            found["cost"] = self._cost(arm, seeds[0], number)
        return found

    def difference(
        self, arm: Arm, other: Arm, test_set: str, clicks: int | None = None, share: float = 1.0
    ) -> dict[str, Any]:
        """How much the maxF of an arm differs from (a share of) another's, for the seeds that both have."""
        at = clicks if other.clicks else None
        seeds = [seed for seed in self.done(arm, clicks) if seed in self.done(other, at)]
        if not seeds:
            return {}

        def both(of: Sequence[int]) -> tuple[Figures, Figures]:
            ours, theirs = self.figures(arm, test_set, of, clicks), self.figures(other, test_set, of, at)
            return ours, {**theirs, "max_f": share * theirs["max_f"]}

        each = [both([seed]) for seed in seeds]
        by_seed = [float(ours["max_f"][0] - theirs["max_f"][0]) for ours, theirs in each]
        return {**compared(*both(seeds), "max_f", by_seed), "seeds": seeds}

    def judge(self, claim: Claim) -> dict[str, Any]:
        """What the results say of a claim, on all test sets together."""
        arm, other = self.arm(claim.arm), self.arm(claim.other)
        if claim.kind in MEASURES:
            return self._judge_measure(claim, arm, other)
        apart = {name: self.difference(arm, other, name, share=claim.share) for name in self.sets}
        complete = all(found and found["seeds"] == list(self.seeds) for found in apart.values())
        verdict = _verdict(claim, list(apart.values())) if complete and apart else OPEN
        return {**vars(claim), "verdict": verdict, "differences": apart}

    def measured(self, arm: Arm, kind: str) -> list[float]:
        """What a claim's kind measures of an arm's last round, of each finished seed."""
        last = self.round_at(arm, None)
        return [MEASURES[kind](self.campaign(arm, seed), last) for seed in self.done(arm)]

    def _judge_measure(self, claim: Claim, arm: Arm, other: Arm) -> dict[str, Any]:
        """A claim about snapshots or places: it is decided where all of three seeds or more agree."""
        ours, theirs = (self.measured(one, claim.kind) for one in (arm, other))
        complete = len(ours) == len(theirs) == len(self.seeds)
        apart = [a - b for a, b in zip(ours, theirs, strict=True)] if complete else []
        decided = len(apart) >= 3 and len({value > 0 for value in apart}) == 1
        verdict = (HOLDS if apart[0] > 0 else FAILS) if decided else UNDECIDED if complete else OPEN
        return {**vars(claim), "verdict": verdict, "differences": {}, "of_arms": [ours, theirs]}

    def _cost(self, arm: Arm, seed: int, last: int) -> dict[str, float]:
        """Passes of training and query, and device seconds, of the rounds up to one, without its query."""
        total = {"training_passes": 0.0, "query_passes": 0.0, "device_seconds": 0.0}
        for number in range(last + 1):
            costs = read_cost(self.campaign(arm, seed).round(number))
            total["training_passes"] += costs.get(TRAINING_COST, {}).get("passes", 0)
            total["device_seconds"] += costs.get(TRAINING_COST, {}).get("device_seconds", 0.0)
            if number == last:
                break
            for stage in (FIT_COST, QUERY_COST):
                passes = costs.get(stage, {}).get("passes", 0)
                total["query_passes"] += sum(passes.values()) if isinstance(passes, dict) else passes
                total["device_seconds"] += costs.get(stage, {}).get("device_seconds", 0.0)
        return total

    def _times(self, test_set: str, images: int) -> NDArray[np.float64]:
        key = test_set, images
        if key not in self._drawn:
            self._drawn[key] = draws(images, "study", test_set)
        return self._drawn[key]

    @cached_property
    def _drawn(self) -> dict[tuple[str, int], NDArray[np.float64]]:
        return {}


def _verdict(claim: Claim, apart: Sequence[dict[str, Any]]) -> Verdict:
    if claim.kind == "alike":
        if all(found["low"] >= -MARGIN and found["high"] <= MARGIN for found in apart):
            return HOLDS
        return (
            FAILS if any(found["low"] > MARGIN or found["high"] < -MARGIN for found in apart) else UNDECIDED
        )
    if all(found["decided"] and found["difference"] > 0 for found in apart):
        return HOLDS
    return FAILS if any(found["decided"] and found["difference"] < 0 for found in apart) else UNDECIDED
