"""A campaign from its command to its report; its loop is in rounds.py."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from atal_ray.annotation.imported_points import check_source
from atal_ray.campaign.annotate import annotate, forget_old_answers
from atal_ray.campaign.campaign_folder import (
    FORK,
    MANIFEST,
    POINTS,
    QUERIES,
    CampaignFolder,
)
from atal_ray.campaign.changes import admit, carried_on, note_sources
from atal_ray.campaign.life import Run, run_in
from atal_ray.campaign.patience import wait_for_answers
from atal_ray.campaign.prepare import prepare
from atal_ray.config import Config, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.errors import CampaignError, WaitingError, command
from atal_ray.report.compared import read_compared
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)


def run_campaign(
    config: Config,
    folder: Path | str,
    on_round: Callable[[CampaignFolder, int], None] = lambda campaign, number: None,
) -> CampaignFolder:
    """Run a campaign to its end, or on from wherever it was interrupted; `annotation.wait` waits for people.

    Args:
        config: the one that the folder was started with, but for what may change: see docs/campaign.md.
        folder: the campaign's folder, a local path or the URI of one on an object store; made if it is not
            there.
        on_round: called with each round that is committed, those of an earlier call included.

    Raises:
        CampaignError: the folder is in use, cannot be written, or was started with another configuration.
        WaitingError: answers are awaited from people, and `annotation.wait` is not set.
        ConfigError, DataError, CheckpointError: what is wrong with the configuration, the data or the
            weights.
    """
    while True:
        try:
            return _run(config, folder, on_round)
        except WaitingError as waiting:
            if not config.annotation.wait:
                raise
            logger.info("%s", waiting)
            wait_for_answers(CampaignFolder(Folder.at(folder)), config)


def _run(
    config: Config, folder: Path | str, on_round: Callable[[CampaignFolder, int], None]
) -> CampaignFolder:
    campaign = CampaignFolder(Folder.at(folder))
    config = carried_on(campaign, config_file.absolute(config))
    started, looked_at = partial(campaign.root.exists, MANIFEST), partial(admit, campaign)
    with run_in(campaign.root, config, CONFIG, started=started, admit=looked_at) as run:
        if campaign.root.exists(FORK) and not campaign.root.exists(MANIFEST):
            source = campaign.root.read_json(FORK)["campaign"]
            again = command("fork", source, campaign.root.uri)
            raise CampaignError(f"{campaign.root.uri} is a fork that was cut short: first go on with {again}")
        if config.data.points is not None and not campaign.round(0).exists(POINTS):
            check_source(config.data.points)
        read_compared(config.report.compare)  # a wrong name is found now, not when the report is written
        prepare(campaign, config)
        note_sources(campaign, config)
        take_answers(run, campaign, config)
        # PyTorch takes two seconds to load: what is wrong with paths and tables is said before
        from atal_ray.campaign.rounds import run_rounds

        with campaign_session(config):
            run_rounds(run, campaign, config, on_round)
        logger.info("writing the report")
        run.finish(lambda: write_report(campaign, config))
    return campaign


def take_answers(run: Run, campaign: CampaignFolder, config: Config) -> None:
    """Annotate the next round before Ray is started, where people or a table answer: a table that is refused
    then costs no more than reading it.

    Raises:
        WaitingError, DataError: as for `annotate`.
    """
    given = config.data.points is not None
    if config.asks and config.budget.annotator == "answers":
        forget_old_answers(campaign, config, campaign.committed_rounds())
    number = next((n for n in range(config.rounds) if not campaign.round(n).exists(POINTS)), config.rounds)
    asked = config.budget.annotator == "answers" and campaign.round(number - 1).exists(QUERIES)
    if number < config.rounds and (given or asked):
        run.step(campaign.round(number), POINTS, lambda: annotate(campaign, config, number))


def write_report(campaign: CampaignFolder, config: Config) -> None:
    """The page of what is finished; loading Matplotlib takes a second, which no start need wait for."""
    from atal_ray.report import page

    page.write_report(campaign, config)
