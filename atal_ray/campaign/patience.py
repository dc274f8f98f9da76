"""Waiting for people: the tables of answers are looked at until there is enough in them to go on."""

import logging
import time

from atal_ray.annotation.answers import answered_so_far, is_late
from atal_ray.campaign.annotate import answered_late
from atal_ray.campaign.campaign_folder import POINTS, QUERIES, CampaignFolder
from atal_ray.config import Config
from atal_ray.errors import AtalError, CampaignError, counted
from atal_ray.store.folder import Folder

LOOK_EVERY = 2.0
"""Seconds between two looks at the folder."""

logger = logging.getLogger(__name__)


def wait_for_answers(campaign: CampaignFolder, config: Config) -> None:
    """Return when the open questions of a campaign have answers enough to go on.

    Neither Ray nor the folder's lock is held meanwhile. A table that cannot be used is named and waited for
    until it is another one.
    """
    asked = campaign.open_questions()
    if asked is None:
        raise CampaignError(f"{campaign.root.uri} has no open questions: there is nothing to wait for")
    questions, out = campaign.round(asked).read_table(QUERIES), campaign.round(asked + 1)
    before = answered_late(campaign, config, asked + 1)
    seen, count = None, -1
    while not out.exists(POINTS):  # or another command has gone on
        try:
            files = _files(out)
            if files != seen:
                seen, known = files, count
                count, enough = answered_so_far(questions, out, config.annotation, before)
                if count != known:
                    logger.info("%s of %s answered", f"{count:,}", counted(questions.num_rows, "question"))
                if enough:
                    return
            if count > 0 and is_late(out, config.annotation):
                return
        except AtalError as error:
            logger.warning("%s", error)
        time.sleep(LOOK_EVERY)


def _files(out: Folder) -> list[tuple[str, object, object]]:
    """What changes when a table is written."""
    infos = [(name, out.info(name)) for name in out.names()]
    return sorted((name, info.size, info.mtime) for name, info in infos)
