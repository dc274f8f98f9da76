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
from atal_ray.studies.paired_bootstrap import (
    FIGURES,
    Figures,
    ImageScores,
    compared,
    draws,
    resampled,
    spread,
)
from atal_ray.studies.paper.arm import MARGIN, TEN, Arm, Claim
from atal_ray.studies.paper.places import mean_delta, share_alone
from atal_ray.studies.paper.units import UNITS, name_of_unit

Verdict = str
SEEDS = 3
"""Fewer decide nothing."""
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

    def has(self, claim: Claim) -> bool:
        """Whether both arms of a claim are there: a base may have an arm's own value."""
        return {claim.arm, claim.other} <= {one.name for one in self.arms}

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

    def scores(
        self, arm: Arm, test_set: str, seed: int, clicks: int | None = None
    ) -> tuple[list[str], ImageScores]:
        """The ids of the images of a test set, ascending, and their scores by an arm."""
        folder = self.campaign(arm, seed).round(self.round_at(arm, clicks))
        return scores_of(folder.read_table(IMAGE_SCORES), test_set)

    def row(self, arm: Arm, clicks: int | None = None) -> dict[str, Any]:
        """Means and ranges over seeds of an arm, and what it cost up to there."""
        seeds, number = self.done(arm, clicks), self.round_at(arm, clicks)
        found: dict[str, Any] = {
            "arm": arm.name,
            "clicks": arm.config.budget.points_at(number) if arm.clicks else None,
            "labels": arm.config.regions.labels,
            "units": [self.campaign(arm, seed).root.name for seed in seeds],
            "seeds": seeds,
            "figures": {},
        }
        if seeds:
            for name in self.sets:
                found_scores = [self.scores(arm, name, seed, clicks)[1] for seed in seeds]
                each = [resampled([scores], np.ones((1, len(scores["mae"])))) for scores in found_scores]
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

        each = [
            (self.scores(arm, test_set, seed, clicks), self.scores(other, test_set, seed, at))
            for seed in seeds
        ]
        common = sorted(set.intersection(*(set(ids) for pair in each for ids, _ in pair)))
        pairs = [[_of_images(one, common) for one in pair] for pair in each]
        times = self._times(test_set, len(common))

        def apart(rows: slice, of: Sequence[Sequence[ImageScores]]) -> tuple[Figures, Figures]:
            ours, theirs = (resampled([pair[which] for pair in of], times[rows]) for which in (0, 1))
            return ours, {**theirs, "max_f": share * theirs["max_f"]}

        found = [apart(slice(1), [pair]) for pair in pairs]
        by_seed = [float(ours["max_f"][0] - theirs["max_f"][0]) for ours, theirs in found]
        return {**compared(*apart(slice(None), pairs), "max_f", by_seed), "seeds": seeds}

    def judge(self, claim: Claim) -> dict[str, Any]:
        """What the results say of a claim, on all test sets together."""
        arm, other = self.arm(claim.arm), self.arm(claim.other)
        if claim.kind in MEASURES:
            return self._judge_measure(claim, arm, other)
        at = max((clicks for clicks in arm.clicks if clicks <= TEN), default=None)
        apart = {name: self.difference(arm, other, name, at, share=claim.share) for name in self.sets}
        complete = all(found and found["seeds"] == list(self.seeds) for found in apart.values())
        verdict = _verdict(claim, list(apart.values())) if complete and apart else OPEN
        if len(self.seeds) < SEEDS and verdict != OPEN:
            verdict = UNDECIDED
        return {**vars(claim), "clicks": at, "verdict": verdict, "differences": apart}

    def measured(self, arm: Arm, kind: str) -> list[float]:
        """What a claim's kind measures of an arm's last round, of each finished seed."""
        last = self.round_at(arm, None)
        return [MEASURES[kind](self.campaign(arm, seed), last) for seed in self.done(arm)]

    def _judge_measure(self, claim: Claim, arm: Arm, other: Arm) -> dict[str, Any]:
        """A claim about snapshots or places: it is decided where all seeds agree."""
        ours, theirs = (self.measured(one, claim.kind) for one in (arm, other))
        complete = len(ours) == len(theirs) == len(self.seeds)
        apart = [a - b for a, b in zip(ours, theirs, strict=True)] if complete else []
        verdict = UNDECIDED if complete else OPEN
        if len(apart) >= SEEDS and all(value > 0 for value in apart):
            verdict = HOLDS
        if len(apart) >= SEEDS and all(value < 0 for value in apart):
            verdict = FAILS
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


def _of_images(scored: tuple[list[str], ImageScores], wanted: list[str]) -> ImageScores:
    """The scores of some images alone, in the order of their ids."""
    ids, scores = scored
    rows = np.searchsorted(ids, wanted)
    return {name: values[rows] for name, values in scores.items()}


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
