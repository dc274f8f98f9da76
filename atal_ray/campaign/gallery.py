"""Stage: snapshots and a few images -> the maps that the report shows, made by the query's kind of actor."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from atal_ray import seeding
from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.acquisition.predictions import Predictions, predict
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.uncertainty import difference, region_kind
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.look import Look, look
from atal_ray.campaign.query.load import mask_on_grid
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config, QueryConfig
from atal_ray.data.images import resize
from atal_ray.data.record import Record
from atal_ray.errors import DataError
from atal_ray.labels.points import PointIndex
from atal_ray.metrics.saliency_map import to_uint8
from atal_ray.networks.inputs import to_batch
from atal_ray.report.gallery_file import (
    GALLERY,
    ImageMaps,
    gallery_table,
    problem_row,
    shown_records,
)
from atal_ray.runtime.bad_images import BadImages, require_kept
from atal_ray.runtime.shards import Pool, ShardWork, Stage, shard_rows

Row = dict[str, Any]
Readable = list[tuple[Record, NDArray[np.uint8]]]
"""Records, each with its image at the size of the network [S, S, 3]."""


def make_gallery(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Make the maps that the report shows of a round that asks nothing; see `RoundGallery`.

    Where no image can be scored, the reason is logged and the file is left out: a finished campaign does not
    fail for want of pictures.
    """
    look([RoundGallery(campaign, config, round_number)])


class RoundGallery(Look):
    """Attacks and scores the images that the report shows by a round's snapshots; writes gallery.parquet of
    the round. For the last one, which asks nothing: a query leaves this file on its way.

    An image that cannot be read is a row with its reason.
    """

    file = GALLERY
    without = "the report will show no maps"

    def __init__(self, campaign: CampaignFolder, config: Config, round_number: int) -> None:
        super().__init__(campaign, config, round_number)
        self.pool = Pool.of_query(config, network=True)
        self._found: list[Row] = []

    def works(self) -> list[ShardWork]:
        """The images that are shown."""
        campaign, config, number = self.campaign, self.config, self.round_number
        shown = shown_records(campaign.chunks(), campaign.training_data(config))
        self._found = []
        arguments = {"campaign": campaign, "config": config, "round_number": number, "shown": shown}
        return [
            ShardWork(
                f"round {number}: maps for the report",
                shard_rows(len(shown), config.query.shard_size),
                len(shown),
                Stage(GalleryActor, arguments),
                bad=BadImages(lambda row, number: shown[number].image_id),
            )
        ]

    def take(self, number: int, row: Row) -> None:
        """Keep the maps of a shard."""
        self._found.extend(row["maps"])

    def finish(self) -> None:
        """Write the maps of all."""
        self.campaign.round(self.round_number).write_table(GALLERY, gallery_table(self._found))


class GalleryActor(SnapshotActor):
    """An actor that attacks and scores the images of a shard and returns their maps as small pictures.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots are read.
        shown: the images that the rows of shards count.
    """

    def __init__(
        self, campaign: CampaignFolder, config: Config, round_number: int, shown: list[Record]
    ) -> None:
        self.method = Asking.of(config.query).for_pictures(asks=config.asks)
        super().__init__(campaign, config, round_number, config.query.precision, self.method)
        self.shown = shown

    def __call__(self, row: Row) -> Row:
        """A row of GALLERY_SCHEMA for each image of the shard, in `maps`."""
        readable, found = self._read(row)
        size = self.config.query.batch_size
        for batch in (readable[start : start + size] for start in range(0, len(readable), size)):
            predictions = self._predict(batch).cpu()
            for position, (record, image) in enumerate(batch):
                given: dict[str, Any] = {"image": image, "mask": self._mask(record)}
                seen = replace(predictions.of(position), **{name: given[name] for name in self.method.sees})
                seen = self.method.scored(seen)
                found.append(image_maps(seen, self.method, self.config.query).to_row(record.image_id))
        return {**row, "images": row["stop"] - row["start"], "maps": found}

    def _read(self, row: Row) -> tuple[Readable, list[Row]]:
        """The images of a shard that can be read, and a row for each that cannot."""
        readable, problems = [], []
        for number, record in enumerate(self.shown[row["start"] : row["stop"]], row["start"]):
            try:
                require_kept(row, number)
                readable.append((record, resize(record.read_image(), self.config.train.size)))
            except DataError as error:
                problems.append(problem_row(record.image_id, str(error)))
        return readable, problems

    def _predict(self, batch: Readable) -> Predictions:
        """What the members say of every image; the attack may be told to use the labelled points."""
        images, wants = to_batch(np.stack([image for _, image in batch]), self.device), self.method.wants
        labels, known, attack = None, None, self.config.attack
        if wants.attacked and attack.labels == "points":
            maps = np.array([self._labels(record) for record, _ in batch])
            labels, known = torch.from_numpy(maps[:, :, None]).to(self.device).unbind(1)
        chances = dropout_chances(self.config, self.round_number, [record.image_id for record, _ in batch])
        return predict(self.snapshots, images, wants, attack, labels, known, chances)

    def _mask(self, record: Record) -> NDArray[np.bool_]:
        if "mask" not in self.method.sees:
            return np.empty((0, 0), np.bool_)
        return mask_on_grid(record, self.config.train.size)

    def _labels(self, record: Record) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Label and whether it is known, of the cells that hold the image's points."""
        points = self.campaign.points(self.round_number, record.image_id, record.image_id)
        xy, labels = PointIndex(points).of(record.image_id)
        return labels_on_grid(xy, labels, self.config.train.size, record.height, record.width)


def dropout_chances(config: Config, round_number: int, image_ids: list[str]) -> list[np.random.Generator]:
    """What passes with dropout draw from, one for each image."""
    return [seeding.rng(config.seed, "dropout", round_number, image_id) for image_id in image_ids]


def kinds_of(seen: Seen, config: QueryConfig) -> NDArray[np.uint8] | None:
    """SR, PIR or PSR of each pixel [S, S]; None where the image was not attacked."""
    if not seen.attacked.size:
        return None
    return region_kind(seen.clean, seen.attacked, config.near_boundary)


def image_maps(seen: Seen, method: Asking, config: QueryConfig) -> ImageMaps:
    """What is shown of an image that was scored."""
    attacked = seen.attacked if seen.attacked.size else None
    return ImageMaps(
        prediction=to_uint8(seen.clean),
        uncertainty=to_uint8(difference(seen.clean, seen.clean, "margin")),
        attacked=None if attacked is None else to_uint8(difference(attacked, seen.clean, "margin")),
        score=to_uint8(_shown_score(seen.score, method.score.top)) if method.score else None,
        regions=kinds_of(seen, config),
    )


def _shown_score(score: NDArray[np.float32], top: float | None) -> NDArray[np.float32]:
    """Scores as 0 to 1: of their own scale, or of the image's where that has no meaning."""
    low, high = (float(score.min()), float(score.max())) if top is None else (0.0, top)
    shown: NDArray[np.float32] = np.clip((score - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    return shown
