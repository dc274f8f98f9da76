"""The rounds of a campaign: the loop that runs every stage whose output is not there yet."""

from collections.abc import Callable

from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import METRICS, POINTS, QUERIES, START, TRAINING, CampaignFolder
from atal_ray.campaign.cost import (
    EVALUATION_COST,
    QUERY_COST,
    TRAINING_COST,
    note_query,
    note_training,
    timed,
)
from atal_ray.campaign.evaluate import evaluate
from atal_ray.campaign.gallery import make_gallery
from atal_ray.campaign.life import Run
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.train import train
from atal_ray.config import Config
from atal_ray.report.gallery_file import GALLERY


def run_rounds(
    run: Run, campaign: CampaignFolder, config: Config, on_round: Callable[[CampaignFolder, int], None]
) -> None:
    """Ask at random, then run each round; one that is whole is committed, and never done again.

    Args:
        run: the run that holds the folder.
        campaign: the folder, whose manifests are there.
        config: the configuration.
        on_round: called with each round that is committed, those of an earlier call included.

    Raises:
        WaitingError, DataError: as for `annotate`.
    """
    if config.asks:
        run.step(campaign.round(START), QUERIES, lambda: query(campaign, config, START))
    for number in range(config.rounds):
        if not campaign.is_committed(number) or campaign.lacks(config, number):
            run_round(run, campaign, config, number)
            campaign.commit(number)
        on_round(campaign, number)
    last = config.rounds - 1
    run.step(campaign.round(last), GALLERY, lambda: make_gallery(campaign, config, last))


def run_round(run: Run, campaign: CampaignFolder, config: Config, number: int) -> None:
    """Annotate, train, evaluate, query: each stage only if its file is not there."""
    out = campaign.round(number)
    run.step(out, POINTS, lambda: annotate(campaign, config, number))
    run.step(out, TRAINING, lambda: _train(campaign, config, number))
    if out.exists(METRICS) and campaign.unjudged(config, number):  # a test set was added
        campaign.reopen(number)
        evaluate(campaign, config, number)
    run.step(out, METRICS, lambda: _evaluate(campaign, config, number))
    if number + 1 < config.rounds:
        run.step(out, QUERIES, lambda: _query(campaign, config, number))
    run.lock.check()


def _train(campaign: CampaignFolder, config: Config, number: int) -> None:
    with timed(campaign.round(number), TRAINING_COST):
        train(campaign, config, number)
    note_training(campaign, config, number)


def _evaluate(campaign: CampaignFolder, config: Config, number: int) -> None:
    with timed(campaign.round(number), EVALUATION_COST):
        evaluate(campaign, config, number)


def _query(campaign: CampaignFolder, config: Config, number: int) -> None:
    with timed(campaign.round(number), QUERY_COST):
        query(campaign, config, number)
    note_query(campaign, config, number)
