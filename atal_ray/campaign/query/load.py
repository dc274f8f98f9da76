"""The loading half of the query: a shard's images, superpixels and labelled points on the grid."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.grid import original_pixels, under_centres
from atal_ray.acquisition.names import Names
from atal_ray.acquisition.registered import SCORES
from atal_ray.annotation.answers import labelled
from atal_ray.annotation.left_open import left_open
from atal_ray.campaign.campaign_folder import MANIFEST, START, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.images import resize
from atal_ray.data.record import Record, records
from atal_ray.errors import DataError
from atal_ray.labels.points import UNSURE, PointIndex
from atal_ray.labels.regions import covered
from atal_ray.runtime.bad_images import require_kept

Row = dict[str, Any]


@dataclass(frozen=True)
class LoadedShard:
    """The n readable images of a shard on the grid of S x S cells, and their M labelled points.

    It crosses from a loading task to an actor as a row of Ray Data: `to_row`, `from_row`.
    """

    shard: int
    """Its number."""
    start: int
    stop: int
    """Its rows of the manifest, the unreadable images included."""
    image_id: Sequence[str]
    """[n]"""
    height: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    """Pixels of the original images [n]."""
    images: npt.NDArray[np.uint8]
    """[n, S, S, 3]"""
    free: npt.NDArray[np.bool_]
    """Cells that may be asked for [n, S, S]; no clicked pixel or region covers them."""
    superpixels: npt.NDArray[np.int16] | npt.NDArray[np.int32]
    """Superpixel of each cell [n, S, S], 32 bits where 16 are too few; -1 where there is none."""
    point_image: npt.NDArray[np.int64]
    """Which of the n images each labelled point belongs to [M]."""
    point_xy: npt.NDArray[np.int32]
    """Its column and row in the original image [M, 2]."""
    point_label: npt.NDArray[np.uint8]
    """[M]"""
    errors: Sequence[Sequence[str]]
    """Id and reason of each image that cannot be read."""
    masks: npt.NDArray[np.bool_]
    """True masks [n, S, S] for a score that reads them; else [n, 0, 0]."""

    def to_row(self) -> Row:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_row(cls, row: Row) -> "LoadedShard":
        """The shard that a row holds, whatever else it holds."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    def points_of(self, index: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Column and row [m, 2], and label [m], of the labelled points of image `index`."""
        mine = self.point_image == index
        return self.point_xy[mine], self.point_label[mine]


def load_shard(row: Row, campaign: CampaignFolder, config: Config, round_number: int) -> Row:
    """Read the images of a shard and return it as `LoadedShard.to_row`; what cannot be read becomes one of
    its errors.
    """
    cv2.setNumThreads(1)  # a loading task has one CPU
    names = Names.of(config.query)
    reads_masks = round_number != START and names.score is not None and SCORES.find(names.score).mask
    table = campaign.root.read_rows(MANIFEST, row["start"], row["stop"])
    rows = records(table, campaign.training_data(config))
    ids = rows[0].image_id, rows[-1].image_id
    points = PointIndex(campaign.points(round_number, *ids))
    left = left_open(campaign, config, round_number, *ids)
    still_open = PointIndex(labelled(left, np.full(left.num_rows, UNSURE, np.uint8), "open"))
    found: list[tuple[Record, Any, Any]] = []
    errors: list[list[str]] = []
    truth: list[npt.NDArray[np.bool_]] = []
    shape = (len(rows), config.train.size, config.train.size)
    images, free = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
    superpixels = np.full(shape, -1, np.int32)
    for number, record in enumerate(rows, row["start"]):
        xy, labels = points.of(record.image_id)
        try:
            require_kept(row, number)
            asked = np.concatenate([xy, still_open.of(record.image_id)[0]])
            loaded = _load_image(record, asked, campaign, config)
            truth += [mask_on_grid(record, config.train.size)] if reads_masks else []
        except DataError as error:
            errors.append([record.image_id, str(error)])
            continue
        images[len(found)], free[len(found)], superpixels[len(found)] = loaded
        found.append((record, xy, labels))
    kept = len(found)
    return LoadedShard(
        row["shard"],
        row["start"],
        row["stop"],
        image_id=[record.image_id for record, _, _ in found],
        height=np.array([record.height for record, _, _ in found], np.int64),
        width=np.array([record.width for record, _, _ in found], np.int64),
        images=images[:kept],
        free=free[:kept],
        superpixels=_narrow(superpixels[:kept]),
        point_image=np.repeat(np.arange(kept), [len(xy) for _, xy, _ in found]),
        point_xy=np.concatenate([np.empty((0, 2), np.int32), *(xy for _, xy, _ in found)]),
        point_label=np.concatenate([np.empty(0, np.uint8), *(labels for _, _, labels in found)]),
        errors=errors,
        masks=np.stack(truth) if truth else np.zeros((kept, 0, 0), bool),
    ).to_row()


def mask_on_grid(record: Record, size: int) -> npt.NDArray[np.bool_]:
    """The true mask at the pixel under each cell of the grid; DataError where there is none."""
    mask = record.read_mask().astype(bool)
    return mask[np.ix_(*(under_centres(size, length) for length in mask.shape))]


def loaded_bytes(config: Config) -> int:
    """Size of a loaded shard: image, free and superpixel of every cell of the grid."""
    return config.query.shard_size * config.train.size**2 * (3 + 1 + 2)


def _narrow(ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
    """The ids in 16 bits where they fit: they are a third of what a loaded shard weighs."""
    return ids.astype(np.int16) if ids.max(initial=0) <= np.iinfo(np.int16).max else ids


def _load_image(
    record: Record, xy: npt.NDArray[np.int32], campaign: CampaignFolder, config: Config
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    size, height, width = config.train.size, record.height, record.width
    image = record.read_image()
    superpixels = campaign.superpixels(config).get(record, image) if config.regions.uses_superpixels else None
    grid = original_pixels(size, height, width)
    kept, pixels = np.ix_(grid.cell_rows, grid.cell_columns), np.ix_(grid.rows, grid.columns)
    free, on_grid = np.zeros((size, size), bool), np.full((size, size), -1, np.int32)
    free[kept] = ~covered(superpixels, xy, (height, width))[pixels]
    if superpixels is not None:
        on_grid[kept] = superpixels[pixels]
    return resize(image, size), free, on_grid
