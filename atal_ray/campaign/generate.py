"""Points for any images by the snapshots of a campaign: one query, no training; masks answer where every
image has one, people where not.
"""

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc

from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.trained import build_member, networks_of
from atal_ray.annotation.answers import corrected
from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.changes import require_images
from atal_ray.campaign.life import run_in
from atal_ray.campaign.prepare import prepare
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.query.fit import fit
from atal_ray.config import AnnotationConfig, Config, config_file
from atal_ray.config.bounds import Count, Words
from atal_ray.config.data import BudgetConfig, DataConfig, OnBadFile
from atal_ray.config.query import AttackConfig, QueryConfig
from atal_ray.config.resources import ResourceConfig
from atal_ray.config.section import Section, require
from atal_ray.config.training import NetworkConfig, TrainConfig
from atal_ray.errors import CampaignError, WaitingError, counted, reworded
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.networks.snapshot_reader import require_snapshots
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.store.streamed import count_nulls, row_groups

logger = logging.getLogger(__name__)

GENERATION_PLAN = "generation.yaml"
_OWN_WORDS = {
    r"budget\.per-round( \(k\))?": "points",
    r"\bdata\.on-bad-file": "on-bad-file",
    r"set network\.dropout, such as .*": "take a campaign that was trained with network.dropout",
}
"""Fields of a campaign -> those of a generation, for the sentences of stages that both have."""


@dataclass(frozen=True, kw_only=True)
class Generation(Section):
    """Which snapshots ask for how many points of which images; sections are the campaign's unless set."""

    may_change = ("images", "on_bad_file")

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
            train=TrainConfig(
                size=side,
                scales=(side,),
                cycles=cycles,
                epochs=cycles,
                ensemble=trained.train.ensemble,
            ),
            # the masks are not read, so there need not be any
            regions=replace(regions, labels="propagate" if regions.uses_masks else regions.labels),
            data=DataConfig(train=self.images, on_bad_file=self.on_bad_file),
            annotation=AnnotationConfig(),  # all answers count: no later round asks again
            budget=BudgetConfig(
                start=self.points, per_round=self.points, total=2 * self.points, annotator="answers"
            ),
            attack=self.attack,
            query=self.query,
            resources=self.resources,
            seed=self.seed,
        )


def configuration_of(folder: Folder) -> Config:
    """The configuration of a campaign, or that of the query of a generation.

    Raises:
        CampaignError: the folder holds neither.
    """
    if not folder.exists(GENERATION_PLAN):
        return config_file.of_campaign(folder)
    generation = config_file.kept(folder, GENERATION_PLAN, Generation)
    return generation.config(config_file.of_campaign(Folder(generation.snapshots)))


def generate(plan: Generation, folder: Path | str) -> CampaignFolder:
    """Ask for points of every image, or go on with it; the folder is that of a campaign in which nothing was
    trained.

    The questions are in round-00/queries.parquet. Where every image has a mask, or people have answered them
    all in tables beside round-01/questions.csv, the points are in round-01/points.parquet.

    Args:
        plan: must be the one that the folder was started with, but for `resources`.
        folder: made if it is not there.

    Raises:
        ConfigError, CampaignError, DataError, CheckpointError: what is wrong with the plan, a folder, the
            images or the snapshots.
    """
    with reworded(_OWN_WORDS):
        return _generate(plan, folder)


def _generate(plan: Generation, folder: Path | str) -> CampaignFolder:
    require(bool(plan.images), "images is empty: name the folder of images that points are wanted of")
    plan = replace(plan, snapshots=config_file.path(plan.snapshots), images=config_file.path(plan.images))
    campaign, trained = CampaignFolder(Folder.at(folder)), CampaignFolder(Folder(plan.snapshots))
    config = config_file.absolute(plan.config(config_file.of_campaign(trained.root)))

    def admit(before: Generation, now: Generation) -> None:
        folder, moved = campaign.training_data(config), before.images != now.images
        require_images(campaign, folder, moved=moved, option="--images")

    started = partial(campaign.root.exists, MANIFEST)
    with run_in(campaign.root, plan, GENERATION_PLAN, started=started, admit=admit) as run:
        prepare(campaign, config)
        if not campaign.round(0).exists(QUERIES):
            _take_over(campaign, config, trained)  # a wrong snapshot is found before Ray is started
        with campaign_session(config):
            _fit(campaign, plan, trained)
            run.step(campaign.round(0), QUERIES, lambda: query(campaign, config, 0))
            masked = count_nulls(campaign.root, MANIFEST, "mask") == 0
            if masked:
                oracle = replace(config, budget=replace(config.budget, annotator="oracle"))
                run.step(campaign.round(1), POINTS, lambda: annotate(campaign, oracle, 1))
        if not masked:
            _ask_people(campaign, config)
    return campaign


def _fit(campaign: CampaignFolder, plan: Generation, trained: CampaignFolder) -> None:
    """Fit the method to the points of the campaign whose snapshots ask, for the new images have none."""
    if Asking.of(plan.query).fits and not campaign.round(0).exists(QUERIES):
        of_trained = config_file.of_campaign(trained.root)
        config = replace(of_trained, query=plan.query, resources=plan.resources)
        fit(trained, config, trained.committed_rounds() - 1, campaign.round(0))


def _ask_people(campaign: CampaignFolder, config: Config) -> None:
    """Take what people have answered so far; the rest waits in a form, and the questions are the result."""
    out = campaign.round(1)
    if out.exists(POINTS):
        now = corrected(out.read_table(POINTS), campaign.round(0).read_table(QUERIES), out)
        if now is not None:
            logger.warning("the answers were corrected: %s is written again", out.where(POINTS))
            out.write_table(POINTS, now)
        return
    try:
        annotate(campaign, config, 1)
    except WaitingError as waiting:
        logger.info("%s", waiting)


def _take_over(campaign: CampaignFolder, config: Config, trained: CampaignFolder) -> None:
    """Take the snapshots of the last finished round over, with nothing labelled."""
    finished = trained.committed_rounds()
    if not finished:
        raise CampaignError(
            f"{trained.root.uri} has no finished round, so there are no snapshots to ask: let it train first"
        )
    for number in range(1, config.train.cycles + 1):
        campaign.snapshots(0).copy_from(trained.snapshots(finished - 1), f"{number}.pt")
    of_trained = replace(config_file.of_campaign(trained.root), data=config.data)
    require(
        _apart_from_weights(config) == _apart_from_weights(of_trained),
        f"the snapshots of {trained.root.uri} are networks that its query.method has drawn by its seed: "
        "leave query.method and seed as they are there",
    )
    require_snapshots(campaign.snapshots(0), config, partial(build_member, config, load_weights=False))
    campaign.round(0).write_table(POINTS, POINT_SCHEMA.empty_table())


def _apart_from_weights(config: Config) -> list[NetworkConfig]:
    """The networks of a configuration; snapshots hold the weights of all."""
    return [replace(network, weights=None) for network in networks_of(config)]


def summary(campaign: CampaignFolder) -> str:
    """What was asked, for the terminal."""
    points = images = 0
    last = None
    for table in row_groups(campaign.round(0), QUERIES, ["image_id"]):  # ascending by image id
        points, images = points + table.num_rows, images + pc.count_distinct(table["image_id"]).as_py()
        images -= int(table["image_id"][0].as_py() == last)
        last = table["image_id"][-1].as_py()
    where = campaign.round(1) / POINTS if campaign.round(1).exists(POINTS) else campaign.round(0) / QUERIES
    return f"{counted(points, 'point')} of {counted(images, 'image')}: {where.uri}"
