"""Points for any images by the snapshots of a campaign: one query, no training; masks answer where there are
any.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc

from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.life import run_in
from atal_ray.campaign.prepare import prepare
from atal_ray.campaign.query.ask import query
from atal_ray.config import Config, config_file
from atal_ray.config.bounds import Count, Words
from atal_ray.config.data import BudgetConfig, DataConfig, OnBadFile
from atal_ray.config.query import AttackConfig, QueryConfig
from atal_ray.config.resources import ResourceConfig
from atal_ray.config.section import Section, require
from atal_ray.config.training import TrainConfig
from atal_ray.errors import CampaignError
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder

GENERATION_PLAN = "generation.yaml"


@dataclass(frozen=True, kw_only=True)
class Generation(Section):
    """Which snapshots ask for how many points of which images; sections are the campaign's unless set."""

    snapshots: str = ""
    """Folder of the campaign whose last finished round asks."""
    images: str = ""
    """Folder of images, with masks or without."""
    points: Annotated[Count, Words("ask at least one an image")] = 10
    """Points for each image; with query.scope dataset, on average."""
    on_bad_file: OnBadFile = "refuse"
    """Refuse to start with unreadable files, or leave them out and list them in errors.parquet."""
    seed: int = 0
    """Seed of the ties."""
    attack: AttackConfig = field(default_factory=AttackConfig)
    query: QueryConfig = field(default_factory=QueryConfig)
    resources: ResourceConfig = field(default_factory=ResourceConfig)

    @classmethod
    def like(cls, snapshots: Path | str) -> "Generation":
        """What a campaign's own query does, on images that are still to be named.

        Raises:
            CampaignError: the folder is no campaign.
        """
        config = config_file.of_campaign(Folder.at(snapshots))
        return cls(
            snapshots=str(snapshots),
            seed=config.seed,
            attack=config.attack,
            query=config.query,
            resources=config.resources,
        )

    def config(self, trained: Config) -> Config:
        """The configuration of a campaign of one query by the snapshots of another; how they were trained is
        of no account.
        """
        side, cycles, regions = trained.train.size, trained.train.cycles, trained.regions
        return replace(
            trained,
            network=replace(trained.network, weights="random"),  # the snapshots hold all weights
            train=TrainConfig(size=side, scales=(side,), cycles=cycles, epochs=cycles),
            regions=replace(regions, labels="propagate") if regions.labels == "dense" else regions,
            data=DataConfig(train=self.images, on_bad_file=self.on_bad_file),
            budget=BudgetConfig(
                start=self.points, per_round=self.points, total=2 * self.points, annotator="answers"
            ),
            attack=self.attack,
            query=self.query,
            resources=self.resources,
            seed=self.seed,
        )


def generate(plan: Generation, folder: Path | str) -> CampaignFolder:
    """Ask for points of every image, or go on with it; the folder is that of a campaign in which nothing was
    trained.

    The questions are in round-00/queries.parquet and, where every image has a mask, the points in
    round-01/points.parquet.

    Args:
        plan: must be the one that the folder was started with, but for `resources`.
        folder: made if it is not there.

    Raises:
        ConfigError, CampaignError, DataError, CheckpointError: what is wrong with the plan, a folder, the
            images or the snapshots.
    """
    require(bool(plan.images), "images is empty: name the folder of images that points are wanted of")
    plan = replace(plan, snapshots=config_file.path(plan.snapshots), images=config_file.path(plan.images))
    campaign, trained = CampaignFolder(Folder.at(folder)), CampaignFolder(Folder(plan.snapshots))
    config = config_file.absolute(plan.config(config_file.of_campaign(trained.root)))
    with run_in(campaign.root, plan, GENERATION_PLAN, started=lambda: campaign.root.exists(MANIFEST)) as run:
        prepare(campaign, config)
        with campaign_session(config):
            run.step(campaign.round(0), QUERIES, lambda: _ask(campaign, config, trained))
        if campaign.root.read_table(MANIFEST, ["mask"])["mask"].null_count == 0:
            oracle = replace(config, budget=replace(config.budget, annotator="oracle"))
            run.step(campaign.round(1), POINTS, lambda: annotate(campaign, oracle, 1))
    return campaign


def _ask(campaign: CampaignFolder, config: Config, trained: CampaignFolder) -> None:
    """Take the snapshots of the last finished round over, and query with nothing labelled."""
    finished = trained.committed_rounds()
    if not finished:
        raise CampaignError(
            f"{trained.root.uri} has no finished round, so there are no snapshots to ask: let it train first"
        )
    for number in range(1, config.train.cycles + 1):
        campaign.snapshots(0).copy_from(trained.snapshots(finished - 1), f"{number}.pt")
    campaign.round(0).write_table(POINTS, POINT_SCHEMA.empty_table())
    query(campaign, config, 0)


def summary(campaign: CampaignFolder) -> str:
    """What was asked, for the terminal."""
    asked = campaign.round(0).read_table(QUERIES, ["image_id"])["image_id"]
    where = campaign.round(1) / POINTS if campaign.round(1).exists(POINTS) else campaign.round(0) / QUERIES
    return f"{len(asked):,} points of {pc.count_distinct(asked).as_py():,} images: {where.uri}"
