"""What the committed rounds of a campaign left behind, read once for the whole report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import (
    COST,
    ERRORS,
    MANIFEST,
    MEMBERS,
    METRICS,
    QUERIES,
    START,
    TRAINING,
    CampaignFolder,
)
from atal_ray.config import Config
from atal_ray.data.manifest import left_out
from atal_ray.labels.points import RANDOM, UNATTACKED
from atal_ray.metrics.accumulator import Metrics
from atal_ray.report.point_counts import PointCounts, count_points
from atal_ray.runtime.throughput import THROUGHPUT, Throughput
from atal_ray.store.folder import Folder
from atal_ray.store.streamed import row_groups


@dataclass(frozen=True)
class Failure:
    """One image that a stage could not use as it should."""

    when: str
    stage: str
    image_id: str
    reason: str


@dataclass(frozen=True)
class Round:
    """One committed round."""

    number: int
    points: PointCounts
    """The points that this round added."""
    regions: Counter[str]
    """How many of the questions behind them lay in SR, PIR and PSR; empty where no network asked."""
    epochs: list[dict[str, float]]
    """The training log: epoch, loss, lr_first, lr_last and, from the second snapshot on, delta."""
    metrics: dict[str, dict[str, Metrics]]
    """Test set -> ensemble or last -> metrics."""
    failures: tuple[Failure, ...]
    cost: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Stage -> what it took; see campaign/cost.py."""

    def device_seconds(self, stage: str) -> float:
        """Seconds that a stage held its devices; 0 where it left no figure."""
        return float(self.cost.get(stage, {}).get("device_seconds", 0.0))


@dataclass(frozen=True)
class Numbers:
    """All committed rounds of a campaign."""

    images: int
    """Rows of the manifest."""
    images_with: NDArray[np.int64]
    """How many images have 0, 1, 2, ... points of all rounds."""
    rounds: tuple[Round, ...]
    failures: tuple[Failure, ...]
    """Those before the first round."""
    left_out: int = 0
    """How many images of the folders data.subset, data.limit and data.test-limit left out."""
    throughput: tuple[tuple[str, Throughput], ...] = ()
    """When points were asked for, and what that took; those that left no figures are absent."""

    @property
    def points(self) -> int:
        """How many points all rounds have."""
        return sum(found.points.total for found in self.rounds)

    @property
    def test_sets(self) -> list[str]:
        """Names of the test sets that were evaluated, sorted."""
        return sorted({name for found in self.rounds for name in found.metrics})

    def clicks(self, number: int) -> float:
        """Mean labelled points of an image up to a round."""
        return sum(found.points.total for found in self.rounds[: number + 1]) / self.images

    def device_seconds(self, number: int) -> float:
        """Seconds of devices until the network of a round was trained: all trainings, and the fits and
        queries between them.
        """
        trained, asked = self.rounds[: number + 1], self.rounds[:number]
        return sum(found.device_seconds("training") for found in trained) + sum(
            found.device_seconds(stage) for found in asked for stage in ("fit", "query")
        )

    def all_failures(self) -> list[Failure]:
        """Failures of the preparation and of every round, in order."""
        return [*self.failures, *(failure for found in self.rounds for failure in found.failures)]


def read_numbers(campaign: CampaignFolder, config: Config) -> Numbers:
    """Read the rounds from 0 up to the first that is not committed.

    Raises:
        CampaignError: a file of a committed round was changed or lost.
    """
    done = 0
    while done < config.rounds and campaign.is_committed(done):
        done += 1
    points, images_with = count_points(campaign, done)
    rounds = [_read_round(campaign, number, added) for number, added in enumerate(points)]
    before = [*_failures(campaign.root, "preparation"), *_failures(campaign.round(START), "random start")]
    asked = [(START, "random start"), *((number, f"round {number}") for number in range(len(rounds)))]
    found = [(when, _throughput(campaign.round(number))) for number, when in asked]
    throughput = tuple((when, figures) for when, figures in found if figures is not None)
    images = campaign.root.count_rows(MANIFEST)
    return Numbers(images, images_with, tuple(rounds), tuple(before), _left_out(campaign), throughput)


def _left_out(campaign: CampaignFolder) -> int:
    tests = campaign.root / "tests"
    count = 0
    for folder, name in ((campaign.root, MANIFEST), *((tests, name) for name in tests.names())):
        with folder.parquet(name) as file:
            count += left_out(file.schema_arrow)
    return count


def _read_round(campaign: CampaignFolder, number: int, points: PointCounts) -> Round:
    folder, when = campaign.round(number), f"round {number}"
    metrics: dict[str, Any] = folder.read_json(METRICS)
    failed = [
        Failure(when, f"evaluation on {name}", image_id, reason)
        for name, of_set in metrics.items()
        for image_id, reason in of_set.get("errors", [])
    ]
    return Round(
        number,
        points,
        _regions(campaign.round(number - 1)) if number else Counter(),
        folder.read_json(TRAINING)["epochs"],
        {
            name: {member: Metrics.from_json(of_set[member]) for member in MEMBERS}
            for name, of_set in metrics.items()
        },
        (*_failures(folder, when), *failed),
        folder.read_json(COST) if folder.exists(COST) else {},
    )


def _throughput(folder: Folder) -> Throughput | None:
    return Throughput(**folder.read_json(THROUGHPUT)) if folder.exists(THROUGHPUT) else None


def _regions(asking: Folder) -> Counter[str]:
    found: Counter[str] = Counter()
    for table in row_groups(asking, QUERIES, ["region"]):
        found.update({row["values"]: row["counts"] for row in pc.value_counts(table["region"]).to_pylist()})
    for name in (RANDOM, UNATTACKED):
        del found[name]
    return found


def _failures(folder: Folder, when: str) -> list[Failure]:
    if not folder.exists(ERRORS):
        return []
    return [
        Failure(when, row["stage"], row["image_id"], row["reason"])
        for row in folder.read_table(ERRORS).to_pylist()
    ]
