"""What `atal finish` does: how points become masks, and how a network is trained on them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import (
    BudgetConfig,
    Config,
    DataConfig,
    RegionConfig,
    ReportConfig,
    config_file,
    presets,
)
from atal_ray.config.bounds import Count, NotNegative, Words
from atal_ray.config.data import OnBadFile
from atal_ray.config.resources import ResourceConfig
from atal_ray.config.section import Section, require
from atal_ray.config.training import NetworkConfig, NotNegativeNumber, TrainConfig
from atal_ray.store.folder import Folder

FINISH_PLAN = "finish.yaml"
Targets = Literal["half", "soft", "weighted"]
Balance = Literal["none", "equal", "area"]


@dataclass(frozen=True, kw_only=True)
class ClickTeacher(Section):
    """A network that is trained on labelled pixels alone, by the recipe but for its loss, which is a BCE: it
    teaches beside the snapshots, half and half.
    """

    path = "clicks"

    trained: bool = False
    """Train such a network first."""
    balance: Balance = "none"
    """Weights of salient and background labels: none, those that make the clicks of both alike, or as many as
    the areas that they stand for, as the random points of round 0 say.
    """
    border: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Weight of the image's outer ring as background, where no click says otherwise; 0: unknown."""
    coherence: NotNegativeNumber = 0.0
    """Weight of the local saliency coherence in its training."""
    consistency: NotNegativeNumber = 0.0
    """Weight of the consistency of scales in its training."""


@dataclass(frozen=True, kw_only=True)
class Finish(Section):
    """How a campaign is finished; the network is trained by its own published recipe of full supervision, at
    the campaign's sides and batch size, with a learning rate that is scaled by the batch.
    """

    may_change = ("campaign", "compare", "on_bad_file", "tests")

    campaign: str = ""
    """Folder of the campaign."""
    rounds: Count | None = None
    """Use the points and the snapshots of so many rounds; unset: all that are finished."""
    passes: Annotated[Count, Words("train at least one network")] = 1
    """Networks that are trained one after another, each on the maps of the one before."""
    flips: bool = True
    """A teacher looks at mirrored images too."""
    targets: Targets = "half"
    """Train on the teacher's maps cut at one half, as they are, or cut with weights by how sure it is."""
    sieve: NotNegativeNumber = 0.0
    """Of a clicked superpixel keep the pixels that look like the click: largest squared distance in colour
    and in features, over the spread inside; 0 keeps all.
    """
    finer: NotNegative = 0
    """Near edges a click labels its superpixel of a cut into so many times more; 0: as the campaign."""
    agreement: bool = False
    """Where the teacher is sure of the other label, a clicked superpixel keeps it only at the click."""
    clicks: ClickTeacher = field(default_factory=ClickTeacher)
    compare: str | None = None
    """Campaign of full masks, to say how near to it the network comes."""
    tests: tuple[str, ...] = ()
    """Folders of the test sets."""
    image_scores: bool = False
    """Keep the network's scores of each test image too, in image_scores.parquet: for intervals."""
    on_bad_file: OnBadFile = "refuse"
    """Refuse an image that cannot be read, or leave it out and list it in errors.parquet."""
    seed: int = 0
    """Seed of the order of the images and of their augmentation."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=lambda: presets.full_recipe("f3net"))
    resources: ResourceConfig = field(default_factory=ResourceConfig)

    @classmethod
    def like(cls, campaign: Path | str, network: str | None = None) -> "Finish":
        """What suits a campaign.

        Args:
            campaign: its folder.
            network: name of the network that is trained; unset: the campaign's.

        Raises:
            CampaignError: the folder is no campaign.
        """
        found = CampaignFolder(Folder.at(campaign))
        config = config_file.of_campaign(found.root)
        train, trained = config.train, replace(config.network, dropout=0.0)
        if network not in (None, trained.name):
            trained = replace(trained, name=network, width=None)
        recipe = presets.full_recipe(trained.name)
        return cls(
            campaign=str(campaign),
            tests=tuple(folder.uri for folder in found.test_folders(config).values()),
            on_bad_file=config.data.on_bad_file,
            seed=config.seed,
            network=trained,
            train=replace(
                recipe,
                size=train.size,
                scales=train.scales if recipe.augment == "crop" else (train.size,),
                batch_size=train.batch_size,
                lr_max=recipe.lr_max * train.batch_size / recipe.batch_size,
                half=train.half,
                compile=train.compile,
                workers=train.workers,
                threads=train.threads,
            ),
            resources=config.resources,
        )

    def check_relations(self) -> None:
        """Raise ConfigError for a training that leaves more than one snapshot, or settings without effect."""
        require(
            not self.train.by_confidence,
            "train.by-confidence is what targets weighted sets: choose that instead",
        )
        require(
            self.clicks.trained or self.clicks == ClickTeacher(),
            "clicks describes a network that is not trained: add clicks.trained",
        )
        require(
            self.train.cycles == 1 and self.train.ensemble == "trajectory",
            f"train.cycles is {self.train.cycles}: a finish trains one network, which one cycle does",
        )

    def training(self, folder: str, of_campaign: Config) -> Config:
        """The configuration of the training of one network, on full masks in a folder."""
        return Config(
            seed=self.seed,
            data=DataConfig(
                train=folder,
                tests=self.tests,
                test_limit=of_campaign.data.test_limit,
                metrics=of_campaign.data.metrics,
                on_bad_file=self.on_bad_file,
            ),
            network=self.network,
            train=replace(self.train, by_confidence=self.targets == "weighted"),
            query=replace(of_campaign.query, method="atal", score=None, strategy=None, scope="image"),
            regions=RegionConfig(labels="dense"),
            budget=BudgetConfig(),
            report=ReportConfig(image_scores=self.image_scores),
            resources=self.resources,
        )

    def training_by_clicks(self, folder: str, of_campaign: Config) -> Config:
        """The same of the network that is trained on labelled pixels alone."""
        config, clicks = self.training(folder, of_campaign), self.clicks
        train = replace(
            config.train,
            loss="bce",
            by_confidence=True,
            coherence=clicks.coherence,
            consistency=clicks.consistency,
        )
        return replace(config, train=train)
