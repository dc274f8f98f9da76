"""The loading half of the query: a shard's images, superpixels and labelled points at the size of the grid."""

from typing import Any

import numpy as np

from atal_ray.campaign_folder import MANIFEST, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.data.manifest import Record, records
from atal_ray.errors import DataError
from atal_ray.points import PointIndex
from atal_ray.regions.labels import covered
from atal_ray.sampling.grid import original_pixels

Row = dict[str, Any]


def load_shard(row: Row, campaign: CampaignFolder, config: Config, round_number: int) -> Row:
    """Read the images of a shard; one that cannot be read becomes an entry of `errors`.

    Returns:
        The row with, for n images: image_id, height, width [n]; images uint8 [n, S, S, 3]; free bool and superpixels
        int32 [n, S, S] as in `sampling.pick.Pool`; and for all their M points: point_image [M], point_xy [M, 2],
        point_label [M].
    """
    rows = records(campaign.root.read_rows(MANIFEST, row["start"], row["stop"]))
    points = PointIndex(campaign.points(round_number, rows[0].image_id, rows[-1].image_id))
    loaded: list[Row] = []
    errors: list[list[str]] = []
    for record in rows:
        xy, labels = points.of(record.image_id)
        try:
            loaded.append({**_load_image(record, xy, campaign, config), "record": record, "xy": xy, "labels": labels})
        except DataError as error:
            errors.append([record.image_id, str(error)])
    size = config.train.size
    return {
        **row,
        "image_id": [item["record"].image_id for item in loaded],
        "height": np.array([item["record"].height for item in loaded], np.int64),
        "width": np.array([item["record"].width for item in loaded], np.int64),
        "images": np.array([item["image"] for item in loaded], np.uint8).reshape(-1, size, size, 3),
        "free": np.array([item["free"] for item in loaded], bool).reshape(-1, size, size),
        "superpixels": np.array([item["superpixels"] for item in loaded], np.int32).reshape(-1, size, size),
        "point_image": np.repeat(np.arange(len(loaded)), [len(item["xy"]) for item in loaded]),
        "point_xy": np.concatenate([np.empty((0, 2), np.int32), *(item["xy"] for item in loaded)]),
        "point_label": np.concatenate([np.empty(0, np.uint8), *(item["labels"] for item in loaded)]),
        "errors": errors,
    }


def _load_image(record: Record, xy: np.ndarray[Any, Any], campaign: CampaignFolder, config: Config) -> Row:
    size, height, width = config.train.size, record.height, record.width
    image = read_image(record.image)
    if image.shape[:2] != (height, width):
        raise DataError(f"{record.image} is {image.shape[1]}x{image.shape[0]} px now, {width}x{height} in the manifest")
    superpixels = campaign.superpixels(config).get(record, image) if config.regions.uses_superpixels else None
    grid = original_pixels(size, height, width)
    kept, pixels = np.ix_(grid.cell_rows, grid.cell_columns), np.ix_(grid.rows, grid.columns)
    free, on_grid = np.zeros((size, size), bool), np.full((size, size), -1, np.int32)
    free[kept] = ~covered(superpixels, xy, (height, width))[pixels]
    if superpixels is not None:
        on_grid[kept] = superpixels[pixels]
    return {"image": resize(image, size), "free": free, "superpixels": on_grid}
