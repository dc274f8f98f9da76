"""What each stage of a round has cost: passes of networks, seconds of devices, and seconds that went by."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from atal_ray.campaign.campaign_folder import COST, MANIFEST, CampaignFolder
from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.runtime.throughput import THROUGHPUT
from atal_ray.store.folder import Folder

TRAINING_COST, FIT_COST, QUERY_COST, EVALUATION_COST = "training", "fit", "query", "evaluation"
TEACHER_COST = "teacher"  # of a finish: what its networks looked at images for
WALL = "wall_seconds"


@contextmanager
def timed(folder: Folder, stage: str) -> Iterator[None]:
    """Add the seconds that the block takes to those of a stage; of one that is killed they are lost."""
    began = time.monotonic()
    try:
        yield
    finally:
        add_wall(folder, stage, time.monotonic() - began)


def add_wall(folder: Folder, stage: str, seconds: float) -> None:
    """Add seconds to those that a stage took."""
    with suppress(CampaignError):  # a full disk or a lost store ends the stage by its own error
        known = read_cost(folder).get(stage, {}).get(WALL, 0.0)
        note(folder, stage, {WALL: round(known + seconds, 3)})


def read_cost(folder: Folder) -> dict[str, dict[str, Any]]:
    """Stage -> its cost."""
    found: dict[str, dict[str, Any]] = folder.read_json(COST) if folder.exists(COST) else {}
    return found


def note(folder: Folder, stage: str, figures: dict[str, Any]) -> None:
    """Set figures of a stage beside those that it has."""
    costs = read_cost(folder)
    folder.write_json(COST, {**costs, stage: {**costs.get(stage, {}), **figures}})


def note_training(campaign: CampaignFolder, config: Config, number: int) -> None:
    """Add the passes over the images, forward and back, of a round's training, and the seconds that its
    devices were held.
    """
    folder, images = campaign.round(number), campaign.root.count_rows(MANIFEST)
    seconds = read_cost(folder).get(TRAINING_COST, {}).get(WALL, 0.0) * config.train.workers
    figures = {"passes": images * config.train.epochs, "device_seconds": round(seconds, 3)}
    note(folder, TRAINING_COST, figures)


def note_fit(folder: Folder, passes: int, seconds: float) -> None:
    """Add what the fit of a method to the labelled pixels took: passes of networks over images, and the
    seconds of its one device.
    """
    note(folder, FIT_COST, {"passes": passes, "device_seconds": round(seconds, 3)})


def note_query(campaign: CampaignFolder, config: Config, number: int) -> None:
    """Add the passes of a round's query and the seconds of its actors, scaled to all images where the call
    that ended it had only a part of them.
    """
    from atal_ray.acquisition.asking import Asking
    from atal_ray.acquisition.passes import passes_of
    from atal_ray.campaign.query.fitted_file import read_fitted

    folder, images = campaign.round(number), campaign.root.count_rows(MANIFEST)
    asking = Asking.of(config.query)
    if asking.fits:
        asking.take(read_fitted(folder))
    each = passes_of(asking, config.attack, config.train.cycles)
    figures: dict[str, Any] = {"passes": {name: images * count for name, count in asdict(each).items()}}
    if folder.exists(THROUGHPUT):
        found = folder.read_json(THROUGHPUT)
        spent = sum(seconds for stage, seconds in found["seconds"].items() if stage != "loading")
        figures["device_seconds"] = round(spent * images / max(1, found["images"]), 3)
    note(folder, QUERY_COST, figures)
