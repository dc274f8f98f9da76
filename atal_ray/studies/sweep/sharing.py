"""What campaigns that differ in little have in common: the manifests, the random start, the rounds before the
first query.
"""

from dataclasses import replace
from typing import Any

from atal_ray.acquisition.trained import own_training
from atal_ray.campaign.campaign_folder import (
    COST,
    ERRORS,
    IMAGE_SCORES,
    MANIFEST,
    METRICS,
    POINTS,
    QUERIES,
    START,
    TRAINING,
    CampaignFolder,
)
from atal_ray.campaign.cost import EVALUATION_COST, TRAINING_COST, read_cost
from atal_ray.config import AttackConfig, Config, QueryConfig
from atal_ray.config.plugins import for_plugins
from atal_ray.errors import CampaignError
from atal_ray.report.predictions_file import PREDICTIONS


def start_key(config: Config) -> tuple[Any, ...]:
    """Campaigns with equal keys have the same manifests and the same random start."""
    budget = config.budget
    start = budget.start, budget.start_strategy
    return config.data, config.seed, start, config.train.size, config.regions


def until_first_query(config: Config) -> Config:
    """The campaign that ends where the first query of this one begins: what only a query reads is as by
    default, unless the method has something of its own trained.
    """
    if own_training(config):
        return replace(config, budget=replace(config.budget, per_round=1, total=config.budget.start))
    query = QueryConfig(
        shard_size=config.query.shard_size, batch_size=config.query.batch_size, threads=config.query.threads
    )
    first = replace(
        config,
        attack=AttackConfig(),
        query=query,
        budget=replace(config.budget, per_round=1, total=config.budget.start),
    )
    return for_plugins(first, {})  # without the settings of the method


def share_start(source: CampaignFolder, campaign: CampaignFolder, config: Config) -> None:
    """Copy the manifests, and the random start where points are asked for, into a campaign without them."""
    if campaign.root.exists(MANIFEST) or not source.root.exists(MANIFEST):
        return
    for name in source.test_sets():
        (campaign.root / "tests").copy_from(source.root / "tests", f"{name}.parquet")
    if config.asks:
        for name in (ERRORS, QUERIES):
            campaign.round(START).copy_from(source.round(START), name)
    if not config.data.train:
        campaign.copy_embedded(source)
    for name in (ERRORS, MANIFEST):  # the manifest last: the preparation is done
        campaign.root.copy_from(source.root, name)


def share_first_round(source: CampaignFolder, campaign: CampaignFolder, config: Config) -> None:
    """Copy what a finished round 0 holds before its query, in the order in which a campaign would make it.

    Raises:
        CampaignError: a snapshot was lost.
    """
    theirs, ours = source.round(0), campaign.round(0)
    if ours.exists(METRICS):
        return
    missing = [
        f"{number}.pt"
        for number in range(1, config.train.cycles + 1)
        if not source.snapshots(0).exists(f"{number}.pt")
    ]
    if missing:
        raise CampaignError(
            f"{source.snapshots(0).where(missing[0])} was lost: delete {source.root.uri}, which is then "
            "trained again"
        )
    ours.copy_from(theirs, POINTS)
    for number in range(1, config.train.cycles + 1):
        campaign.snapshots(0).copy_from(source.snapshots(0), f"{number}.pt")
    costs = read_cost(theirs)  # without those of a fit and a query, which are of that campaign's method
    ours.write_json(
        COST, {stage: costs[stage] for stage in (TRAINING_COST, EVALUATION_COST) if stage in costs}
    )
    for name in (TRAINING, PREDICTIONS, IMAGE_SCORES, METRICS):
        ours.copy_from(theirs, name)
