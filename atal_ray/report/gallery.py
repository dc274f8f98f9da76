"""Some training images side by side with what the last round's snapshots and the points say about them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from atal_ray import seeding
from atal_ray.acquisition.estimate import Estimate, estimate
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.data.images import read_image, read_mask, resize
from atal_ray.data.manifest import Record, records
from atal_ray.errors import AtalError, DataError
from atal_ray.networks.inputs import choose_device, to_batch
from atal_ray.networks.snapshots import read_snapshots
from atal_ray.report.numbers import Numbers
from atal_ray.report.overlays import fit, photo
from atal_ray.report.pictures import Maps, Picture, Scene, map_pictures, point_pictures

IMAGES = 4


@dataclass(frozen=True)
class Exhibit:
    """One image with its pictures, or why there are none."""

    image_id: str
    height: int = 0
    """Of its pictures, in pixels, and so the width."""
    width: int = 0
    photo: str = ""
    pictures: tuple[Picture, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Gallery:
    """The images shown, and why the maps are missing where they are."""

    exhibits: tuple[Exhibit, ...]
    problem: str = ""


def chosen(manifest: pa.Table) -> list[Record]:
    """The images whose ids have the smallest hashes: the same ones for every campaign on the same data."""
    ids: list[str] = manifest["image_id"].to_pylist()
    rows = sorted(range(len(ids)), key=lambda row: seeding.derive("report", ids[row]))[:IMAGES]
    return records(manifest.take(rows))


def make_gallery(campaign: CampaignFolder, config: Config, numbers: Numbers) -> Gallery:
    """Pictures of the chosen images; files that cannot be read are named in their place."""
    points = numbers.points
    scenes: dict[str, Scene | AtalError] = {}
    for record in chosen(numbers.manifest):
        try:
            scenes[record.image_id] = _read_scene(record, points, campaign, config)
        except AtalError as error:
            scenes[record.image_id] = error
    readable = [scene for scene in scenes.values() if isinstance(scene, Scene)]
    maps: dict[str, Maps] = {}
    problem = ""
    if numbers.rounds and readable:
        try:
            found = _estimate(readable, campaign, config, len(numbers.rounds) - 1)
            pairs = zip(found.clean, found.attacked, strict=True)
            maps = {scene.image_id: Maps(*pair) for scene, pair in zip(readable, pairs, strict=True)}
        except AtalError as error:
            problem = str(error)
    return Gallery(
        tuple(_exhibit(name, scene, maps.get(name), config) for name, scene in scenes.items()), problem
    )


def _read_scene(record: Record, points: pa.Table, campaign: CampaignFolder, config: Config) -> Scene:
    image = read_image(record.image)
    mask = read_mask(record.mask).astype(bool) if record.mask else None
    for path, pixels in ((record.image, image), (record.mask, mask)):
        if pixels is not None and pixels.shape[:2] != (record.height, record.width):
            height, width = pixels.shape[:2]
            raise DataError(
                f"{path} is {width}x{height} px now, {record.width}x{record.height} in the manifest"
            )
    mine = points.filter(pc.equal(points["image_id"], record.image_id)).sort_by(
        [("round", "ascending"), ("order", "ascending")]
    )
    return Scene(
        record.image_id,
        image,
        mask,
        campaign.superpixels(config).get(record, image) if config.regions.uses_superpixels else None,
        mine.to_pylist(),
    )


def _estimate(scenes: list[Scene], campaign: CampaignFolder, config: Config, round_number: int) -> Estimate:
    """Both saliency maps of every scene by the snapshots of a round."""
    size = config.train.size
    device = choose_device(config.resources.gpus)
    snapshots = read_snapshots(campaign.snapshots(round_number), config, device)
    batch = to_batch(np.stack([resize(scene.image, size) for scene in scenes]), device)
    maps = np.array([labels_on_grid(scene.xy, scene.labels, size, *scene.shape) for scene in scenes])
    labels, known = (
        torch.from_numpy(maps[:, :, None]).to(device).unbind(1)
    )  # the attack may be told to use them
    found = estimate(snapshots, batch, config.attack, labels, known)
    if device.type == "cuda":
        del snapshots, batch, labels, known
        # a driver that runs several campaigns leaves the GPU to the next one's workers
        torch.cuda.empty_cache()
    return found


def _exhibit(image_id: str, scene: Scene | AtalError, maps: Maps | None, config: Config) -> Exhibit:
    if isinstance(scene, AtalError):
        return Exhibit(image_id, problem=str(scene))
    height, width = fit(*scene.shape)
    pictures: list[Any] = [
        *map_pictures(scene, maps, config.query),
        *point_pictures(scene, config.regions.labels),
    ]
    return Exhibit(image_id, height, width, photo(scene.image, (height, width)), tuple(pictures))
