"""Other campaigns whose metrics are shown beside those of this one: random points, full masks, or any."""

from collections.abc import Iterable
from dataclasses import dataclass

from atal_ray.acquisition.names import Names
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config, config_file
from atal_ray.errors import CampaignError, counted
from atal_ray.metrics.accumulator import Metrics
from atal_ray.report.numbers import Numbers, read_numbers
from atal_ray.store.folder import Folder


@dataclass(frozen=True)
class Compared:
    """One other campaign."""

    name: str
    config: Config
    numbers: Numbers

    @property
    def is_dense(self) -> bool:
        """Whether it was trained on full masks, so that it has no points."""
        return self.config.regions.labels == "dense"

    @property
    def label(self) -> str:
        """What it is, for a legend."""
        if self.is_dense:
            return f"{self.name} (full masks)"
        chosen = Names.of(self.config.query)
        if chosen.strategy == "random":
            return f"{self.name} (random points)"
        return f"{self.name} ({'ATAL' if str(chosen) == 'atal' else chosen})"

    def last(self, test_set: str) -> Metrics | None:
        """The ensemble's metrics of its last committed round on a test set, if it has them."""
        found = self.numbers.rounds[-1].metrics.get(test_set)
        return found["ensemble"] if found else None


def read_compared(folders: Iterable[str]) -> tuple[Compared, ...]:
    """The committed rounds of each campaign.

    Raises:
        CampaignError: a folder is no campaign, or has no committed round yet.
    """
    return tuple(_read(folder) for folder in folders)


def _read(folder: str) -> Compared:
    campaign = CampaignFolder(Folder.at(folder))
    config = config_file.of_campaign(campaign.root)
    if not campaign.is_committed(0):
        raise CampaignError(f"{campaign.root.uri} has no finished round to compare with: let it train first")
    return Compared(campaign.root.name, config, read_numbers(campaign, config))


def differences(config: Config, numbers: Numbers, other: Compared) -> list[str]:
    """What makes the metrics of another campaign hard to compare, each as a sentence."""
    found = []
    if other.numbers.images != numbers.images:
        images = counted(other.numbers.images, "image")
        found.append(f"{other.name} was trained on {images}, this campaign on {numbers.images:,}.")
    for field in ("network.name", "train.size", "train.epochs"):
        section, name = field.split(".")
        theirs, ours = (getattr(getattr(one, section), name) for one in (other.config, config))
        if theirs != ours:
            found.append(f"{other.name} has {field} {theirs}, this campaign {ours}.")
    for test_set in numbers.test_sets:
        theirs = other.last(test_set)
        if theirs is None:
            found.append(f"{other.name} was not evaluated on {test_set}.")
        elif theirs.images != numbers.rounds[-1].metrics[test_set]["ensemble"].images:
            found.append(f"{other.name} was evaluated on {counted(theirs.images, 'image')} of {test_set}.")
    return found
