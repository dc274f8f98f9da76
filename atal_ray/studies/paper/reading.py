"""What the finished units of a study say: figures with their spread, and differences with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import COST, IMAGE_SCORES, METRICS, CampaignFolder
from atal_ray.campaign.cost import FIT_COST, QUERY_COST, TEACHER_COST, TRAINING_COST, read_cost
from atal_ray.campaign.scores_of_images import scores_of
from atal_ray.evaluation.score_table import TABLE_2
from atal_ray.metrics.accumulator import Metrics
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
from atal_ray.studies.paper.arm import Arm
from atal_ray.studies.paper.places import MEASURES
from atal_ray.studies.paper.units import UNITS, unit_of

Scores = tuple[list[str], ImageScores]
"""The ids of the images of a test set, ascending, and their scores."""


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
        return CampaignFolder(self.root / UNITS / unit_of(arm, seed).name)

    def round_at(self, arm: Arm, clicks: int | None) -> int:
        """The round in which an arm has so many clicks; None: its last."""
        if not arm.clicks or arm.source is not None:
            return 0
        at = arm.clicks[-1] if clicks is None else clicks
        budget = arm.config.budget
        return next(number for number in range(arm.config.rounds) if budget.points_at(number) == at)

    def place(self, arm: Arm, seed: int, clicks: int | None = None) -> Folder:
        """The folder with the metrics of an arm at so many clicks."""
        campaign = self.campaign(arm, seed)
        if arm.is_finish:
            return campaign.root
        return campaign.round(self.round_at(arm, clicks))

    def done(self, arm: Arm, clicks: int | None = None) -> list[int]:
        """The seeds of which an arm is finished at so many clicks, and judged on all test sets."""
        places = {seed: self.place(arm, seed, clicks) for seed in self.seeds}
        return [seed for seed, place in places.items() if set(self.sets) <= self._judged_on(place, arm)]

    def _judged_on(self, place: Folder, arm: Arm) -> set[str]:
        """The test sets that an arm was judged on, image by image."""
        if place.uri not in self._judged:
            self._judged[place.uri] = set()
            if place.exists(METRICS) and place.exists(IMAGE_SCORES):
                metrics = place.read_json(METRICS)
                self._judged[place.uri] = set(metrics["network"] if arm.is_finish else metrics)
        return self._judged[place.uri]

    def scores(self, arm: Arm, test_set: str, seed: int, clicks: int | None = None) -> Scores:
        """The scores of the images of a test set by an arm."""
        return scores_of(self.place(arm, seed, clicks).read_table(IMAGE_SCORES), test_set)

    def metrics(self, arm: Arm, test_set: str, seeds: Sequence[int]) -> Metrics:
        """All metrics of an arm on a test set, those of a table as means over seeds that are finished."""
        found = [self._metrics(arm, test_set, seed) for seed in seeds]
        means: dict[str, Any] = {name: fmean(getattr(one, name) for one in found) for name in TABLE_2}
        return replace(found[0], **means)

    def _metrics(self, arm: Arm, test_set: str, seed: int) -> Metrics:
        found = self.place(arm, seed).read_json(METRICS)
        if arm.is_finish:
            return Metrics.from_json(found["network"][test_set])
        return Metrics.from_json(found[test_set]["ensemble"])

    def figures(self, arm: Arm, test_set: str, clicks: int | None = None) -> dict[str, list[float]]:
        """Each of FIGURES on a test set, by seed."""
        each = [self._figures(arm, test_set, seed, clicks) for seed in self.done(arm, clicks)]
        return {figure: [one[figure] for one in each] for figure in FIGURES}

    def _figures(self, arm: Arm, test_set: str, seed: int, clicks: int | None) -> dict[str, float]:
        key = self.place(arm, seed, clicks).uri, test_set
        if key not in self._known:
            scores = self.scores(arm, test_set, seed, clicks)[1]
            found = resampled([scores], np.ones((1, len(scores["mae"]))))
            self._known[key] = {figure: float(found[figure][0]) for figure in FIGURES}
        return self._known[key]

    def row(self, arm: Arm, clicks: int | None = None) -> dict[str, Any]:
        """Means and ranges over seeds of an arm, and what it cost up to there."""
        seeds, number = self.done(arm, clicks), self.round_at(arm, clicks)
        at = arm.clicks[-1] if arm.source else arm.config.budget.points_at(number)
        found: dict[str, Any] = {
            "arm": arm.name,
            "clicks": at if arm.clicks else None,
            "labels": arm.labels,
            "units": [self.campaign(arm, seed).root.name for seed in seeds],
            "seeds": seeds,
            "figures": {},
        }
        if seeds:
            for name in self.sets:
                by_seed = self.figures(arm, name, clicks)
                found["figures"][name] = {figure: spread(values) for figure, values in by_seed.items()}
            costs = [self._cost(arm, seed, number) for seed in seeds]
            found["cost"] = {name: fmean(cost[name] for cost in costs) for name in costs[0]}
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

    def measured(self, arm: Arm, kind: str, clicks: int | None = None) -> list[float]:
        """What a claim's kind measures of an arm at so many clicks, of each finished seed."""
        number = self.round_at(arm, clicks)
        return [MEASURES[kind].of(self.campaign(arm, seed), number) for seed in self.done(arm, clicks)]

    def _cost(self, arm: Arm, seed: int, last: int) -> dict[str, float]:
        """Passes of training and query, and device seconds, of the rounds up to one, without its query; with
        those of the campaign whose points an arm is given, and whose last snapshots only a finish needs.
        """
        if arm.source is None:
            return _of_rounds(self.campaign(arm, seed), last)
        chosen, rounds = self.campaign(Arm("", arm.source.config), seed), arm.source.config.rounds
        total, place = _of_rounds(chosen, rounds - 1, trained=arm.is_finish), self.place(arm, seed)
        if arm.is_finish:
            costs = list(place.read_json(COST).values())
        else:
            costs = [read_cost(place).get(TRAINING_COST, {})]
        for cost in costs:
            teacher = cost.get(TEACHER_COST, {})
            total["training_passes"] += cost.get("passes", 0)
            total["query_passes"] += teacher.get("passes", 0)
            total["device_seconds"] += sum(one.get("device_seconds", 0.0) for one in (cost, teacher))
        return total

    def _times(self, test_set: str, images: int) -> NDArray[np.float64]:
        key = test_set, images
        if key not in self._drawn:
            self._drawn[key] = draws(images, "study", test_set)
        return self._drawn[key]

    @cached_property
    def _drawn(self) -> dict[tuple[str, int], NDArray[np.float64]]:
        return {}

    @cached_property
    def _known(self) -> dict[tuple[str, str], dict[str, float]]:
        return {}

    @cached_property
    def _judged(self) -> dict[str, set[str]]:
        return {}


def _of_rounds(campaign: CampaignFolder, last: int, *, trained: bool = True) -> dict[str, float]:
    """The cost of the rounds of a campaign up to one, without its query, and perhaps without its training."""
    total = {"training_passes": 0.0, "query_passes": 0.0, "device_seconds": 0.0}
    for number in range(last + 1):
        costs = read_cost(campaign.round(number))
        if number == last and not trained:
            break
        total["training_passes"] += costs.get(TRAINING_COST, {}).get("passes", 0)
        total["device_seconds"] += costs.get(TRAINING_COST, {}).get("device_seconds", 0.0)
        if number == last:
            break
        for stage in (FIT_COST, QUERY_COST):
            passes = costs.get(stage, {}).get("passes", 0)
            total["query_passes"] += sum(passes.values()) if isinstance(passes, dict) else passes
            total["device_seconds"] += costs.get(stage, {}).get("device_seconds", 0.0)
    return total


def _of_images(scored: Scores, wanted: list[str]) -> ImageScores:
    """The scores of some images alone, in the order of their ids."""
    ids, scores = scored
    rows = np.searchsorted(ids, wanted)
    return {name: values[rows] for name, values in scores.items()}
