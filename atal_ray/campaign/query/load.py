"""The loading half of the query: a shard's images, superpixels and labelled points at the size of the grid."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from atal_ray.acquisition.grid import original_pixels
from atal_ray.campaign.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.data.manifest import Record, records
from atal_ray.errors import DataError
from atal_ray.labels.points import PointIndex
from atal_ray.labels.regions import covered

Row = dict[str, Any]


def load_shard(row: Row, campaign: CampaignFolder, config: Config, round_number: int) -> Row:
    """Read the images of a shard; one that cannot be read becomes an entry of `errors`.

    Returns:
        The row with, for n images: image_id, height, width [n]; images uint8 [n, S, S, 3]; free bool and
            superpixels
        int16 (int32 where they do not fit) [n, S, S] as in `sampling.pick.Pool`; and for all their M points:
        point_image [M], point_xy [M, 2], point_label [M].
    """
    cv2.setNumThreads(1)  # a loading task has one CPU
    rows = records(campaign.root.read_rows(MANIFEST, row["start"], row["stop"]))
    points = PointIndex(campaign.points(round_number, rows[0].image_id, rows[-1].image_id))
    found: list[tuple[Record, Any, Any]] = []
    errors: list[list[str]] = []
    shape = (len(rows), config.train.size, config.train.size)
    images, free, superpixels = (
        np.zeros((*shape, 3), np.uint8),
        np.zeros(shape, bool),
        np.full(shape, -1, np.int32),
    )
    for record in rows:
        xy, labels = points.of(record.image_id)
        position = len(found)
        try:
            images[position], free[position], superpixels[position] = _load_image(
                record, xy, campaign, config
            )
            found.append((record, xy, labels))
        except DataError as error:
            errors.append([record.image_id, str(error)])
    kept = len(found)
    return {
        **row,
        "image_id": [record.image_id for record, _, _ in found],
        "height": np.array([record.height for record, _, _ in found], np.int64),
        "width": np.array([record.width for record, _, _ in found], np.int64),
        "images": images[:kept],
        "free": free[:kept],
        "superpixels": _narrow(superpixels[:kept]),
        "point_image": np.repeat(np.arange(kept), [len(xy) for _, xy, _ in found]),
        "point_xy": np.concatenate([np.empty((0, 2), np.int32), *(xy for _, xy, _ in found)]),
        "point_label": np.concatenate([np.empty(0, np.uint8), *(labels for _, _, labels in found)]),
        "errors": errors,
    }


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
    image = read_image(record.image)
    if image.shape[:2] != (height, width):
        raise DataError(
            f"{record.image} is {image.shape[1]}x{image.shape[0]} px now, {width}x{height} in the manifest"
        )
    superpixels = campaign.superpixels(config).get(record, image) if config.regions.uses_superpixels else None
    grid = original_pixels(size, height, width)
    kept, pixels = np.ix_(grid.cell_rows, grid.cell_columns), np.ix_(grid.rows, grid.columns)
    free, on_grid = np.zeros((size, size), bool), np.full((size, size), -1, np.int32)
    free[kept] = ~covered(superpixels, xy, (height, width))[pixels]
    if superpixels is not None:
        on_grid[kept] = superpixels[pixels]
    return resize(image, size), free, on_grid
