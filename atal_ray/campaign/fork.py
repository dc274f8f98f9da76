"""Another campaign with the points of one that is there and, as far as the training is equal, its rounds."""

import logging
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from atal_ray.acquisition.trained import own_training
from atal_ray.annotation.given_answers import ANSWERED, OPEN, PAGE
from atal_ray.campaign.campaign_folder import (
    ANSWERS,
    COMMITTED,
    CONTROLS,
    COST,
    ERRORS,
    FORK,
    IMAGE_SCORES,
    MANIFEST,
    METRICS,
    POINTS,
    QUERIES,
    SAID,
    SAID_LOG,
    TRAINING,
    CampaignFolder,
)
from atal_ray.campaign.changes import note_sources, sources
from atal_ray.campaign.forked_points import ForkedPoints
from atal_ray.campaign.prepare import prepare
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.config.data import shortest
from atal_ray.config.section import require
from atal_ray.errors import CampaignError, counted
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA, concat, in_order
from atal_ray.runtime.throughput import THROUGHPUT
from atal_ray.store.folder import Folder
from atal_ray.store.lock import locked
from atal_ray.store.streamed import sha256

logger = logging.getLogger(__name__)

WORK = "fork.parts"


def like(campaign: str) -> Config:
    """The configuration of a campaign, for another one to start from; CampaignError where there is none."""
    source = CampaignFolder(Folder.at(campaign))
    config = config_file.of_campaign(source.root)
    config = replace(config, data=replace(config.data, points=None))
    rounds = source.rounds_with_points()
    asked = [config.budget.asked_for(number) for number in range(1, rounds)]
    return replace(config, budget=config.budget.after(asked))


def fork(config: Config, campaign: Path | str, folder: Path | str) -> CampaignFolder:
    """Start a campaign with the points of another and run it, or go on with it.

    Rounds of equal images, points and training are taken as they are. The points of the later ones, with the
    answers as they are now, are those of one round, which is trained anew. Images without a point get
    `budget.start` random ones in it.

    Args:
        config: of the new campaign; its budget counts the points that are taken.
        campaign: the folder of the other one, which stays as it is.
        folder: the folder of the new one.

    Raises:
        CampaignError: the other campaign has no points, or the folder is another campaign's.
        ConfigError, DataError, CheckpointError: as for `run_campaign`.
    """
    source, made = CampaignFolder(Folder.at(campaign)), CampaignFolder(Folder.at(folder))
    require(source.root.uri != made.root.uri, f"{folder} is the campaign itself: name another folder")
    config = config_file.absolute(config)
    if not made.root.exists(MANIFEST):
        with locked(made.root) as lock:
            if made.root.exists(CONFIG) and not made.root.exists(FORK):
                raise CampaignError(f"{made.root.uri} holds another campaign already: name a new folder")
            made.root.write_json(FORK, {"campaign": source.root.uri})
            _Fork(source, made, config).make()
            lock.check()
    elif not made.root.exists(FORK) or made.root.read_json(FORK).get("campaign") != source.root.uri:
        raise CampaignError(f"{made.root.uri} is no fork of {source.root.uri}: name a new folder")
    return run_campaign(replace(config, budget=_budget_of(made, config)), made.root.uri)


def _budget_of(made: CampaignFolder, config: Config) -> BudgetConfig:
    """The budget of a fork that is there, with the total and the steps that are asked for now."""
    kept = config_file.kept(made.root, CONFIG, Config).budget
    return replace(kept, total=config.budget.total, per_round=config.budget.per_round)


class _Fork:
    """The making of a folder out of another.

    Args:
        source: the campaign that is there.
        made: the new one.
        config: of the new one, before its budget counts what is taken.
    """

    def __init__(self, source: CampaignFolder, made: CampaignFolder, config: Config) -> None:
        self.source, self.made, self.config = source, made, config
        self.before = config_file.kept(source.root, CONFIG, Config)
        self.rounds = source.rounds_with_points()
        if not self.rounds or (not self.before.asks and self.before.data.points is None):
            raise CampaignError(f"{source.root.uri} has no labelled points yet: start a campaign of its own")
        require(config.asks, "a fork goes on asking: leave data.points unset and regions.labels unlike dense")
        self.work = CampaignFolder(made.root / WORK)
        self.points = ForkedPoints(source, self.work, self.before, config, self.rounds)

    def make(self) -> None:
        """Write what the new campaign begins with, its manifest last."""
        for name in self.made.root.names():
            if name.startswith("round-") or name in ("seed", "tests", WORK):
                (self.made.root / name).delete()  # of an attempt that was cut short
        prepare(self.work, self.config, listed=self.made.root)
        same = self._same_rounds()
        budget = self._budget(same)
        config = replace(self.config, budget=budget)
        for number in range(same):
            self._take_round(number)
        taken = self._take_points(same)
        self._take_questions(same)
        for name in self.work.test_sets():
            (self.made.root / "tests").copy_from(self.work.root / "tests", f"{name}.parquet")
        if not self.config.data.train:
            self.made.copy_embedded(self.work)
        config_file.keep(self.made.root, CONFIG, config)
        note_sources(self.made, config)
        self.made.root.write_json(
            FORK,
            {"campaign": self.source.root.uri, "points": taken, "rounds": self.rounds, "equal_rounds": same},
        )
        self.made.root.copy_from(self.work.root, ERRORS)
        self.made.root.copy_from(self.work.root, MANIFEST)
        self.work.root.delete()
        logger.info(
            "%s: %s of %s, %s trained as they are",
            self.made.root.uri,
            counted(taken, "point"),
            self.source.root.uri,
            counted(same, "round is", "rounds are"),
        )

    def _same_rounds(self) -> int:
        """The rounds from the first one on that the new campaign would train in the same way."""
        before, now = self.before, self.config
        files, theirs = sources(now).get("network.weights"), sources(before).get("network.weights")
        equal = (
            (before.seed, before.train, before.regions) == (now.seed, now.train, now.regions)
            and replace(before.network, weights=None) == replace(now.network, weights=None)
            and (before.network.weights == now.network.weights or (files is not None and files == theirs))
            and before.asks
            and own_training(before) == own_training(now)
            and sha256(self.source.root, MANIFEST) == sha256(self.work.root, MANIFEST)
        )
        number = 0
        while equal and number < self.rounds and self.source.round(number).exists(TRAINING):
            committed = self.source.round(number)
            if self.points.corrected_round(number) is not None or _is_changed(committed):
                break
            number += 1
        return number

    def _budget(self, same: int) -> BudgetConfig:
        """The budget with the points that are taken as asked."""
        had, wanted = self.before.budget, self.config.budget
        if self.before.data.points is not None:
            points = self.source.points(0)
            each = max(1, round(points.num_rows / max(1, pc.count_distinct(points["image_id"]).as_py())))
            had = replace(had, start=each, total=each, earlier=())
        if same == 0:
            return replace(wanted, start=had.points_at(self.rounds - 1), earlier=())
        asked = [had.asked_for(number) for number in range(1, same)]
        if same < self.rounds:
            asked.append(had.points_at(self.rounds - 1) - had.points_at(same - 1))
        return replace(wanted, start=had.start, earlier=shortest(asked, wanted.per_round))

    def _take_round(self, number: int) -> None:
        """Copy what a round of equal training left; what else it lacks is made when the campaign runs."""
        ours, theirs = self.made.round(number), self.source.round(number)
        for snapshot in range(1, self.config.train.cycles + 1):
            self.made.snapshots(number).copy_from(self.source.snapshots(number), f"{snapshot}.pt")
        ours.copy_from(theirs, POINTS)
        if self._same_tests():
            ours.copy_from(theirs, IMAGE_SCORES)
            ours.copy_from(theirs, METRICS)
        ours.copy_from(theirs, SAID)
        ours.copy_from(theirs, COST)
        ours.copy_from(theirs, TRAINING)
        questions = self.source.round(number - 1)
        for name in (QUERIES, ERRORS, THROUGHPUT):
            self.made.round(number - 1).copy_from(questions, name)

    def _same_tests(self) -> bool:
        """Whether metrics of the source are of the same test images."""
        theirs, ours = self.source.root / "tests", self.work.root / "tests"
        names = self.work.test_sets()
        return names == sorted(self.source.test_folders(self.before)) and all(
            sha256(theirs, f"{name}.parquet") == sha256(ours, f"{name}.parquet") for name in names
        )

    def _take_points(self, same: int) -> int:
        """Write the points of the rounds that are trained anew as those of one round; how many points there
        are in all.
        """
        earlier = sum(self.made.round(number).count_rows(POINTS) for number in range(same))
        if same == self.rounds:
            return earlier
        points = self.points.usable(concat(self.points.of_rounds(same), POINT_SCHEMA), same)
        asked = self.points.questions(points, same)
        fresh = self.points.fresh_questions(points) if same == 0 else QUERY_SCHEMA.empty_table()
        ours, before = self.made.round(same), self.made.round(same - 1)
        before.write_table(QUERIES, in_order(concat([asked, fresh], QUERY_SCHEMA)))
        if fresh.num_rows and self.config.budget.annotator == "answers":
            kept = points.select(["image_id", "x", "y", "label"])
            ours.write_table(ANSWERED, kept)  # the others are asked of people
        else:
            ours.write_table(POINTS, in_order(concat([points, *self.points.answers(fresh)], POINT_SCHEMA)))
        return earlier + int(points.num_rows)

    def _take_questions(self, same: int) -> None:
        """Copy the open questions with the answers so far, where the new campaign would ask the same."""
        last, ours = self.source.round(self.rounds - 1), self.made.round(self.rounds - 1)
        if same < self.rounds or not last.exists(QUERIES):
            return
        before, now = self.before, self.config
        if (before.query, before.attack, before.budget.asked_for(self.rounds)) != (
            now.query,
            now.attack,
            now.budget.per_round,
        ):
            logger.info("the open questions of %s are asked anew", self.source.root.uri)
            return
        for name in (QUERIES, ERRORS, THROUGHPUT):
            ours.copy_from(last, name)
        following, place = self.source.round(self.rounds), self.made.round(self.rounds)
        for name in following.names():
            if name.lower() in ANSWERS or name in (ANSWERED, PAGE, CONTROLS, OPEN):  # a form may be filled in
                place.copy_from(following, name)
        if following.exists(SAID_LOG):  # bytes, no link: it grows where it lies
            place.write_bytes(SAID_LOG, following.read_bytes(SAID_LOG))


def _is_changed(folder: Folder) -> bool:
    """Whether the points of a committed round are others than those that were committed."""
    noted = folder.read_json(COMMITTED) if folder.exists(COMMITTED) else {}
    return POINTS in noted and noted[POINTS] != sha256(folder, POINTS)
