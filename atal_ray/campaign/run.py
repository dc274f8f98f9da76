"""A campaign: the loop that runs every stage whose output is not there yet."""

from collections.abc import Callable
from pathlib import Path

from atal_ray.annotation.annotate import annotate
from atal_ray.campaign import prepare
from atal_ray.campaign.campaign_folder import (
    MANIFEST,
    METRICS,
    POINTS,
    QUERIES,
    START,
    TRAINING,
    CampaignFolder,
)
from atal_ray.campaign.evaluate import evaluate
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.train import train
from atal_ray.config import Config, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.report.page import write_report
from atal_ray.runtime.session import ray_session
from atal_ray.store.folder import Folder
from atal_ray.store.lock import locked


def run_campaign(
    config: Config,
    folder: Path | str,
    on_round: Callable[[CampaignFolder, int], None] = lambda campaign, number: None,
) -> CampaignFolder:
    """Run a campaign to its end, or on from wherever it was interrupted.

    Args:
        config: must be the one that the folder was started with, but for `resources`.
        folder: the campaign's folder, a local path or the URI of one on an object store; made if it is not
            there.
        on_round: called with each round that is committed, those of an earlier call included.

    Raises:
        CampaignError: the folder is in use, cannot be written, or was started with another configuration.
        ConfigError, DataError, CheckpointError: what is wrong with the configuration, the data or the
            weights.
    """
    config, campaign = config_file.absolute(config), CampaignFolder(Folder.at(folder))
    with locked(campaign.root) as lock:
        # until the data is prepared it may still change: a mistyped path must not spoil the folder
        config_file.keep(campaign.root, CONFIG, config, final=campaign.root.exists(MANIFEST))
        prepare.prepare(campaign, config)
        with ray_session(config):
            if config.asks:
                missing(campaign.round(START), QUERIES, lambda: query(campaign, config, START))
            for number in range(config.rounds):
                if not campaign.is_committed(number):
                    run_round(campaign, config, number)
                    lock.check()
                    campaign.commit(number)
                on_round(campaign, number)
        print("writing the report", flush=True)
        write_report(campaign, config)
    return campaign


def run_round(campaign: CampaignFolder, config: Config, number: int) -> None:
    """Annotate, train, evaluate, query: each stage only if its file is not there."""
    out = campaign.round(number)
    missing(out, POINTS, lambda: annotate(campaign, config, number))
    missing(out, TRAINING, lambda: train(campaign, config, number))
    missing(out, METRICS, lambda: evaluate(campaign, config, number))
    if number + 1 < config.rounds:
        missing(out, QUERIES, lambda: query(campaign, config, number))


def missing(folder: Folder, name: str, stage: Callable[[], None]) -> None:
    """Run a stage unless its file is there: files appear whole, and a stage's named file is its last."""
    if not folder.exists(name):
        stage()
