"""Some training images side by side with what the last round's snapshots and the points say about them."""

from dataclasses import dataclass

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.data.manifest import Record
from atal_ray.errors import AtalError
from atal_ray.report.gallery_file import GALLERY, ImageMaps, read_maps, shown_records
from atal_ray.report.numbers import Numbers
from atal_ray.report.overlays import fit, photo
from atal_ray.report.pictures import Picture, Scene, map_pictures, point_pictures
from atal_ray.wording import command


@dataclass(frozen=True)
class ShownImage:
    """One image with its pictures, or why there are none."""

    image_id: str
    height: int = 0
    """Of its pictures, in pixels, and so the width."""
    width: int = 0
    photo: str = ""
    pictures: tuple[Picture, ...] = ()
    problem: str = ""
    """Why there are no pictures; with pictures, why the maps are not among them."""


@dataclass(frozen=True)
class Gallery:
    """The images shown, and why none has maps where that is so."""

    images: tuple[ShownImage, ...]
    problem: str = ""


def read_gallery(campaign: CampaignFolder, config: Config, numbers: Numbers) -> Gallery:
    """Pictures of a few images from the campaign's files; where one cannot be read, its place says why."""
    last_round = len(numbers.rounds) - 1
    maps, problem = _maps(campaign, last_round)
    images = []
    for record in shown_records(campaign.chunks(), campaign.training_data(config)):
        try:
            scene = _read_scene(record, last_round, campaign, config)
        except AtalError as error:
            images.append(ShownImage(record.image_id, problem=str(error)))
        else:
            images.append(_shown_image(scene, maps.get(record.image_id), config))
    return Gallery(tuple(images), problem)


def _maps(campaign: CampaignFolder, last_round: int) -> tuple[dict[str, ImageMaps | str], str]:
    """The maps that the last committed round left, or a sentence that says why there are none."""
    if last_round < 0:
        return {}, ""
    folder = campaign.round(last_round)
    try:
        if folder.exists(GALLERY):
            return read_maps(folder), ""
    except AtalError as error:
        return {}, str(error)
    return {}, (
        f"{folder.where(GALLERY)} is not there. The last round's snapshots write it when the campaign is "
        f"finished: run it again with {command('resume', campaign.root.uri)}."
    )


def _read_scene(record: Record, last_round: int, campaign: CampaignFolder, config: Config) -> Scene:
    image = record.read_image()
    mask = record.read_mask().astype(bool) if record.mask else None
    mine = campaign.points(last_round, record.image_id, record.image_id)
    return Scene(
        record.image_id,
        image,
        mask,
        campaign.superpixels(config).get(record, image) if config.regions.uses_superpixels else None,
        mine.sort_by([("round", "ascending"), ("order", "ascending")]).to_pylist(),
    )


def _shown_image(scene: Scene, maps: ImageMaps | str | None, config: Config) -> ShownImage:
    height, width = fit(*scene.shape)
    problem, found = (maps, None) if isinstance(maps, str) else ("", maps)
    pictures = [
        *map_pictures(scene, found, config.query),
        *point_pictures(scene, config.regions.labels),
    ]
    return ShownImage(
        scene.image_id, height, width, photo(scene.image, (height, width)), tuple(pictures), problem
    )
