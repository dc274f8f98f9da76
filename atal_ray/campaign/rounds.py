"""The rounds of a campaign: the loop that runs every stage whose output is not there yet."""

from collections.abc import Callable
from functools import partial

from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import METRICS, POINTS, QUERIES, START, TRAINING, CampaignFolder
from atal_ray.campaign.cost import QUERY_COST, TRAINING_COST, add_wall, note_query, note_training, timed
from atal_ray.campaign.evaluate import Evaluation
from atal_ray.campaign.gallery import RoundGallery, make_gallery
from atal_ray.campaign.life import Run, give_back_memory
from atal_ray.campaign.look import Look, look
from atal_ray.campaign.query.ask import Query, query
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
        elif number + 1 == config.rounds:
            run.step(campaign.round(number), GALLERY, partial(make_gallery, campaign, config, number))
        on_round(campaign, number)


def run_round(run: Run, campaign: CampaignFolder, config: Config, number: int) -> None:
    """Annotate, train, look: each stage only if its file is not there."""
    out = campaign.round(number)
    run.step(out, POINTS, lambda: annotate(campaign, config, number))
    run.step(out, TRAINING, lambda: _train(campaign, config, number))
    if out.exists(METRICS) and campaign.unjudged(config, number):  # a test set was added
        campaign.reopen(number)
        look([Evaluation(campaign, config, number)], _noted)
    last = number + 1 == config.rounds
    looks: tuple[type[Look], ...] = (Evaluation, RoundGallery if last else Query)
    look([one(campaign, config, number) for one in looks if not out.exists(one.file)], _noted)
    give_back_memory()
    run.lock.check()


def _train(campaign: CampaignFolder, config: Config, number: int) -> None:
    with timed(campaign.round(number), TRAINING_COST):
        train(campaign, config, number)
    note_training(campaign, config, number)


def _noted(done: Look, seconds: float) -> None:
    """Note what a stage has cost."""
    if done.cost is not None:
        add_wall(done.campaign.round(done.round_number), done.cost, seconds)
    if done.cost == QUERY_COST:
        note_query(done.campaign, done.config, done.round_number)
