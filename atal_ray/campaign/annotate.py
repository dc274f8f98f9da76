"""Stage: questions -> labelled points, by the oracle, by people, or taken from elsewhere."""

import logging

from atal_ray.annotation.answers import corrected, forget_parts, from_people
from atal_ray.annotation.imported_points import import_points
from atal_ray.annotation.left_open import goes_on_without
from atal_ray.annotation.oracle import answer_by_masks
from atal_ray.annotation.page.people_said import note_people
from atal_ray.campaign.campaign_folder import (
    ERRORS,
    FITTED,
    METRICS,
    POINTS,
    QUERIES,
    TRAIN_RUN,
    TRAINING,
    CampaignFolder,
)
from atal_ray.config import Config
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)


def forget_old_answers(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Where the answers of a round that is not committed yet were corrected, remove its points and what was
    made of them, so that the round is run again.

    Raises:
        DataError: a table of answers cannot be used.
    """
    questions, out = campaign.round(round_number - 1), campaign.round(round_number)
    if config.budget.annotator != "answers" or not out.exists(POINTS) or not questions.exists(QUERIES):
        return
    now = corrected(out.read_table(POINTS), questions.read_table(QUERIES), out)
    if now is None:
        return
    logger.warning("the answers of round %d were corrected: it is trained again", round_number)
    for folder in (TRAIN_RUN, f"{QUERIES}.parts"):
        (out / folder).delete()
    for name in (QUERIES, METRICS, TRAINING, ERRORS, FITTED):
        out.remove(name)
    campaign.snapshots(round_number).delete()
    out.write_table(POINTS, now)


def answered_late(campaign: CampaignFolder, config: Config, round_number: int) -> list[Folder]:
    """The folders of the rounds right before that went on without some answers, which this one asks again,
    the earliest first.
    """
    first = round_number
    while goes_on_without(campaign, config, first - 1):
        first -= 1
    return [campaign.round(number) for number in range(first, round_number)]


def annotate(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Answer the questions of the round before, or take the points that are given; writes the points.parquet
    of the round.

    Full masks leave it without rows.

    Raises:
        WaitingError: answers are awaited from people and are not, or not all, there.
        DataError: a table of answers cannot be used, or an image that the oracle is asked about has no mask.
    """
    questions, out = campaign.round(round_number - 1), campaign.round(round_number)
    if config.data.points is not None:
        import_points(campaign, config.data.points)
        return
    if config.regions.labels == "dense":
        out.write_table(POINTS, POINT_SCHEMA.empty_table())  # nothing was asked: the masks say all
        return
    if config.budget.annotator == "oracle":
        answer_by_masks(campaign, config, round_number)
    else:
        asked = questions.read_table(QUERIES)
        before = answered_late(campaign, config, round_number)
        points = from_people(asked, out, questions.where(QUERIES), config.annotation, before)
        note_people(asked, out)
        out.write_table(POINTS, points)
        forget_parts(out)
