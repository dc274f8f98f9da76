"""Saliency maps of other methods that the user has, beside the networks of a study.

FOLDER/rivals/   an evaluation of these maps, as `atal evaluate` leaves it
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import METRICS, CampaignFolder
from atal_ray.config import Config
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.config.section import require
from atal_ray.errors import DataError
from atal_ray.evaluation.compare import evaluate, named
from atal_ray.evaluation.evaluation_folder import PAIRS
from atal_ray.evaluation.maps import SaliencyMap, read_map
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.report.predictions_file import Predictions
from atal_ray.store.folder import Folder

RIVALS_FOLDER = "rivals"


@dataclass(frozen=True)
class Rivals:
    """Methods whose maps are there.

    Args:
        maps: folders of maps, or folders with one of them for each test set; NAME=FOLDER names one.
        config: of a campaign, which names the test sets.
        root: folder of the studies.
    """

    maps: tuple[str, ...]
    config: Config
    root: Folder

    def check(self) -> None:
        """Raise ConfigError for names or a folder that cannot be used."""
        if self.maps:
            named(self.maps, "maps")
            require(self.root.is_local, f"maps are scored in a local folder, and {self.root.uri} is none")

    def score(self, campaign: CampaignFolder) -> list[str]:
        """Score the maps, or those that are new or changed; a sentence for each method and set of which some
        are missing.

        Args:
            campaign: one of the studies, with its test sets.
        """
        if not self.maps:
            return []
        folders = campaign.test_folders(self.config)
        resources = self.config.resources
        plan = EvaluationConfig(
            masks=tuple(f"{name}={folder.local_path}" for name, folder in folders.items()),
            maps=self.maps,
            backend=resources.backend,
            object_store_mib=resources.object_store_mib,
        )
        return evaluate(plan, Path((self.root / RIVALS_FOLDER).uri))

    def metrics(self, test_set: str) -> dict[str, Metrics]:
        """Method -> its metrics on a test set, of those that were scored."""
        found: dict[str, Metrics] = {}
        for method in named(self.maps, "maps"):
            place = self._scores(test_set, method)
            known: Any = place.read_json(METRICS) if place.exists(METRICS) else None
            if known is not None:
                found[method] = Metrics.from_json(known)
        return found

    def predictions(self, images: Iterable[tuple[str, str]]) -> dict[str, Predictions]:
        """Method -> its maps of a few images, as far as they are there; after `score`.

        Args:
            images: test set and id of each.
        """
        found: dict[str, Predictions] = {}
        for method in named(self.maps, "maps"):
            found[method] = {}
            for test_set, image_id in images:
                place = self._scores(test_set, method)
                pairs = place.read_table(PAIRS, ["image_id", "map"])
                for path in pairs.filter(pc.equal(pairs["image_id"], image_id))["map"].to_pylist():
                    with suppress(DataError):  # `score` has named what cannot be read
                        found[method][test_set, image_id] = _of_8_bits(read_map(path))
        return found

    def _scores(self, test_set: str, method: str) -> Folder:
        return self.root / RIVALS_FOLDER / "scores" / test_set / method


def _of_8_bits(saliency: SaliencyMap) -> NDArray[np.uint8]:
    if saliency.dtype.kind == "f":
        return to_uint8(np.asarray(saliency, np.float64))
    return np.asarray(saliency // (257 if saliency.dtype == np.uint16 else 1), np.uint8)
