"""Saliency maps of other methods that the user has, beside the networks of a study.

FOLDER/rivals/   an evaluation of these maps, as `atal evaluate` leaves it
"""

from collections.abc import Collection, Iterable
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
from atal_ray.data.images import file_bytes
from atal_ray.data.layout import existing_folder
from atal_ray.data.record import records
from atal_ray.errors import AtalError, DataError
from atal_ray.evaluation.compare import evaluate, maps_of, named
from atal_ray.evaluation.evaluation_folder import PAIRS
from atal_ray.evaluation.maps import SaliencyMap, read_map
from atal_ray.metrics.accumulator import Metrics
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.report.predictions_file import Predictions
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location
from atal_ray.store.streamed import row_groups

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

    def check(self, arms: Collection[str]) -> None:
        """Look for the folders before anything is trained.

        Args:
            arms: names of the networks that they stand beside.

        Raises:
            ConfigError, DataError: a name is taken, or a folder is not there.
        """
        methods = named(self.maps, "maps")
        taken = sorted(methods.keys() & set(arms))
        require(
            not taken,
            f"maps: {', '.join(taken)} is an arm of these studies: give another name, as NAME=FOLDER",
        )
        require(
            not methods or self.root.is_local,
            f"maps are scored in a local folder, which {self.root.uri} is not: leave them out",
        )
        sets = [Location.at(folder).resolved().name for folder in self.config.data.tests]
        for folder in methods.values():
            existing_folder(folder, "saliency maps")
            for name in sets:
                maps_of(folder, name, len(sets))

    def score(self, campaign: CampaignFolder) -> list[str]:
        """Score the maps of the test images, or those that are new or changed; a sentence for each method and
        set of which some are missing or cannot be read.

        Args:
            campaign: one of the studies, with its test sets.
        """
        if not self.maps:
            return []
        resources, there = self.config.resources, campaign.test_sets()
        folders = {
            name: self._masks(campaign, name) for name in campaign.test_folders(self.config) if name in there
        }
        sentences: list[str] = []
        for method, folder in named(self.maps, "maps").items() if folders else ():
            plan = EvaluationConfig(
                masks=tuple(f"{name}={masks}" for name, masks in folders.items()),
                maps=(f"{method}={folder}",),
                backend=resources.backend,
                object_store_mib=resources.object_store_mib,
            )
            try:
                sentences += evaluate(plan, Path((self.root / RIVALS_FOLDER).uri))
            except AtalError as error:
                sentences.append(str(error))
        if self.config.data.test_limit is None:
            return sentences
        return [sentence for sentence in sentences if ", extra: " not in sentence]  # maps of the other images

    def _masks(self, campaign: CampaignFolder, name: str) -> Path:
        """The masks of the images of a test set that networks are judged on, as a folder."""
        place = self.root / RIVALS_FOLDER / "masks" / name
        there, wanted = set(place.names()), set[str]()
        for rows in row_groups(campaign.root / "tests", f"{name}.parquet"):
            for record in records(rows, campaign.test_data(self.config, name)):
                mask = Location.at(str(record.mask))
                file = f"{record.image_id}{Path(mask.name).suffix}"
                wanted.add(file)
                if file not in there:
                    place.write_bytes(file, file_bytes(mask))
        for file in there - wanted:  # of a call with more images
            place.remove(file)
        return Path(place.uri)

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
                if not place.exists(PAIRS):
                    continue
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


def absolute(maps: tuple[str, ...]) -> tuple[str, ...]:
    """The entries with names and absolute paths."""
    return tuple(f"{name}={folder}" for name, folder in named(maps, "maps").items())
