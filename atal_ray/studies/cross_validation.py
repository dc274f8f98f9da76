"""Do points transfer? Train each network on the points that each network selected (Table 3)."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from atal_ray import networks
from atal_ray.campaign.campaign_folder import MANIFEST, METRICS, CampaignFolder
from atal_ray.campaign.life import run_in
from atal_ray.campaign.prepare import require_network
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, RegionConfig, config_file, presets
from atal_ray.config.section import Section, require
from atal_ray.errors import CampaignError
from atal_ray.report.page import REPORT
from atal_ray.runtime.session import campaign_session
from atal_ray.store.folder import Folder
from atal_ray.studies.cross_table import FULL, Scores, to_json, to_markdown
from atal_ray.studies.sweep.sharing import share_start

logger = logging.getLogger(__name__)

Recipe = Literal["published", "same"]
CROSS_VALIDATION_PLAN, RESULT = "cross_validation.yaml", "cross_validation"


@dataclass(frozen=True, kw_only=True)
class CrossValidation(Section):
    """Which networks select points and are trained on them, and what a cell is measured against."""

    networks: tuple[str, ...] = ("minet", "f3net", "pfsnet")
    """The networks, by name or as module:Class."""
    full: Recipe = "published"
    """By a network's published recipe (preset NETWORK-full, one worker), or by the campaign's on masks."""
    campaign: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)
    """The campaign that each network selects its points with; `networks` stands for its network.name."""

    def check_relations(self) -> None:
        """Raise ConfigError unless each network is named once."""
        require(
            len(set(self.networks)) == len(self.networks) > 0,
            f"networks are {self.networks}: give each of them once",
        )

    def check(self) -> None:
        """Raise ConfigError for a campaign that cannot be cross-validated."""
        base = self.campaign
        require(
            base.asks,
            "a cross validation selects points: leave data.points unset and regions.labels other than dense",
        )
        require(
            not base.train.warm_start,
            "train.warm-start makes the campaign's last round unlike the other cells: leave it unset",
        )
        absent = [name for name in self.networks if f"{name}-full" not in presets.PRESETS]
        require(
            self.full == "same" or not absent,
            f"there is no published recipe of {', '.join(absent)}: use --full same",
        )
        require(
            bool(base.data.tests) or not base.data.train,
            "data.tests is empty: a cross validation needs at least one test set",
        )
        require(
            base.budget.annotator == "oracle",
            "full supervision reads masks, so points do too: use budget.annotator oracle",
        )


@dataclass(frozen=True)
class Training:
    """One campaign of a cross validation."""

    points: str
    """The network that selected its points; FULL for full masks."""
    network: str
    config: Config

    @property
    def folder(self) -> str:
        """Its folder below that of the cross validation."""
        points, network = (name.replace(":", ".") for name in (self.points, self.network))
        return f"{network}-on-{points}"

    @property
    def title(self) -> str:
        """What it is, for people."""
        if self.points == self.network:
            return f"{self.network} selects points"
        return (
            f"{self.network} on full masks"
            if self.points == FULL
            else f"{self.network} on the points of {self.points}"
        )


def trainings(plan: CrossValidation, root: Folder) -> Iterator[Training]:
    """What is trained, in this order: the campaigns that select points (the diagonal), full supervision, the
    other cells.
    """
    superpixels = plan.campaign.resources.superpixels or (root / "superpixels").uri
    shared = replace(plan.campaign, resources=replace(plan.campaign.resources, superpixels=superpixels))
    bases = {name: _of_network(shared, name) for name in plan.networks}
    selecting = {name: Training(name, name, base) for name, base in bases.items()}
    yield from selecting.values()
    for name, base in bases.items():
        yield Training(FULL, name, _full(base, plan.full))
    for points in plan.networks:
        selected = (root / selecting[points].folder).uri
        for name, base in bases.items():
            if name != points:
                yield Training(points, name, replace(base, data=replace(base.data, points=selected)))


def _of_network(shared: Config, name: str) -> Config:
    """The campaign of one network; backbone weights are for those that have a pretrained backbone."""
    weights = shared.network.weights if networks.find(name).backbone_prefix else None
    return replace(shared, network=replace(shared.network, name=name, weights=weights))


def _full(base: Config, recipe: Recipe) -> Config:
    train = base.train
    if recipe == "published":
        train = replace(presets.preset(f"{base.network.name}-full").train, threads=train.threads)
    return replace(base, train=train, regions=RegionConfig(labels="dense"))


def cross_validate(plan: CrossValidation, folder: Path | str) -> Folder:
    """Run every training that is not finished, and write the table after each: cross_validation.md and .json.

    Trainings share the manifests, the random start and the superpixels; the diagonal is the last round of a
    campaign.

    Args:
        plan: must be the one that the folder was started with, but for what may change.
        folder: a local folder, one on a mount that every machine sees, or the URI of one on an object store.

    Raises:
        ConfigError: the campaign cannot be cross-validated.
        AtalError: as `campaign.run`.
    """
    plan.check()
    root = Folder.at(folder)
    if root.is_local:
        root = Folder(str(Path(root.uri).resolve()))  # it is part of what a cell is: where its points lie
    plan = replace(plan, campaign=config_file.absolute(plan.campaign))
    todo = list(trainings(plan, root))
    first = CampaignFolder(root / todo[0].folder)
    started = partial(first.root.exists, MANIFEST)
    with run_in(root, plan, CROSS_VALIDATION_PLAN, started=started, admit=_same_steps) as run:
        # what is wrong with a network, its weights or a recipe is found now, not after days
        for one in todo[: 2 * len(plan.networks)]:
            if not _finished(root, one):
                require_network(one.config)
        scores = {(one.points, one.network): _metrics(root, one) for one in todo if _finished(root, one)}
        with campaign_session(plan.campaign):
            for number, one in enumerate(todo, start=1):
                if (one.points, one.network) not in scores:
                    logger.info("[%d/%d] %s", number, len(todo), one.title)
                    share_start(first, CampaignFolder(root / one.folder), one.config)
                    run_campaign(one.config, (root / one.folder).uri)
                    scores[one.points, one.network] = _metrics(root, one)
                    run.finish(lambda: _write(root, plan, scores))
        run.finish(lambda: _write(root, plan, scores))
    return root


def _same_steps(before: CrossValidation, now: CrossValidation) -> None:
    """Refuse another budget: the cells train on the points of the last round."""
    if before.campaign.budget != now.campaign.budget:
        raise CampaignError("the budget of a cross validation cannot change: use a new folder")


def _finished(root: Folder, one: Training) -> bool:
    campaign = CampaignFolder(root / one.folder)
    return campaign.root.exists(REPORT) and campaign.is_complete(one.config)


def _metrics(root: Folder, one: Training) -> Mapping[str, Any]:
    metrics: Mapping[str, Any] = (
        CampaignFolder(root / one.folder).round(one.config.rounds - 1).read_json(METRICS)
    )
    return metrics


def _write(root: Folder, plan: CrossValidation, scores: Scores) -> None:
    table = to_json(plan.networks, plan.full, scores)
    root.write_json(f"{RESULT}.json", table)
    root.write_bytes(f"{RESULT}.md", to_markdown(table).encode())
