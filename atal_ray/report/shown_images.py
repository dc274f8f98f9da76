"""Some training images side by side with what each round's snapshots saw in them and what they asked."""

from dataclasses import dataclass
from typing import Any

from atal_ray.acquisition.names import Names
from atal_ray.campaign.campaign_folder import QUERIES, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import Record
from atal_ray.errors import AtalError, command
from atal_ray.report.gallery_file import GALLERY, ImageMaps, read_maps, shown_records
from atal_ray.report.numbers import Numbers
from atal_ray.report.overlays import photo
from atal_ray.report.picture_size import fit
from atal_ray.report.pictures import Picture, Scene, map_pictures, plain_pictures, point_pictures

Maps = dict[str, ImageMaps | str]
"""The maps of each image, or why it has none."""


@dataclass(frozen=True)
class ShownRound:
    """What the snapshots of one round saw in an image, and where they asked."""

    number: int
    pictures: tuple[Picture, ...]
    problem: str = ""
    """Why the maps are not among them."""


@dataclass(frozen=True)
class ShownImage:
    """One image with its pictures, or why there are none."""

    image_id: str
    height: int = 0
    """Of its pictures, in pixels, and so the width."""
    width: int = 0
    photo: str = ""
    pictures: tuple[Picture, ...] = ()
    rounds: tuple[ShownRound, ...] = ()
    problem: str = ""
    """Why there are no pictures."""


@dataclass(frozen=True)
class Gallery:
    """The images shown, and why the last round has no maps where that is so."""

    images: tuple[ShownImage, ...]
    problem: str = ""


def read_gallery(campaign: CampaignFolder, config: Config, numbers: Numbers) -> Gallery:
    """Pictures of a few images from the campaign's files; where one cannot be read, its place says why."""
    rounds = len(numbers.rounds)
    maps, problem = _maps_of_rounds(campaign, rounds)
    images = []
    for record in shown_records(campaign.chunks(), campaign.training_data(config)):
        try:
            scene = _read_scene(record, rounds - 1, campaign, config)
            shown = tuple(_shown_round(campaign, scene, number, maps, config) for number in range(rounds))
        except AtalError as error:
            images.append(ShownImage(record.image_id, problem=str(error)))
        else:
            images.append(
                _shown_image(scene, tuple(one for one in shown if one.pictures or one.problem), config)
            )
    return Gallery(tuple(images), problem)


def _maps_of_rounds(campaign: CampaignFolder, rounds: int) -> tuple[dict[int, Maps], str]:
    """The maps that each committed round left, and a sentence that says why the last one has none."""
    found: dict[int, Maps] = {}
    problems: dict[int, str] = {}
    for number in range(rounds):
        folder = campaign.round(number)
        try:
            if folder.exists(GALLERY):
                found[number] = read_maps(folder)
            else:
                problems[number] = (
                    f"{folder.where(GALLERY)} is not there. The last round's snapshots write it when the "
                    f"campaign is finished: run it again with {command('resume', campaign.root.uri)}."
                )
        except AtalError as error:
            problems[number] = str(error)
    return found, problems.get(rounds - 1, "")


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


def _shown_round(
    campaign: CampaignFolder, scene: Scene, number: int, maps: dict[int, Maps], config: Config
) -> ShownRound:
    """The maps of a round, and the points that it asked; without pictures where there is neither."""
    found = maps.get(number, {}).get(scene.image_id)
    problem, of_image = (found, None) if isinstance(found, str) else ("", found)
    asked = _asked(campaign, scene, number)
    score_name = Names.of(config.query).score or "none"
    pictures = map_pictures(scene, of_image, asked, score_name) if asked or of_image is not None else []
    return ShownRound(number, tuple(pictures), problem)


def _asked(campaign: CampaignFolder, scene: Scene, number: int) -> list[dict[str, Any]]:
    """The points that a round asked of an image, with their labels where they are answered."""
    answered = [point for point in scene.points if point["round"] == number + 1]
    folder = campaign.round(number)
    if answered or not folder.exists(QUERIES):
        return answered
    found: list[dict[str, Any]] = folder.read_between(
        QUERIES, "image_id", scene.image_id, scene.image_id
    ).to_pylist()
    return found


def _shown_image(scene: Scene, rounds: tuple[ShownRound, ...], config: Config) -> ShownImage:
    height, width = fit(*scene.shape)
    pictures = (*plain_pictures(scene), *point_pictures(scene, config.regions.labels))
    return ShownImage(scene.image_id, height, width, photo(scene.image, (height, width)), pictures, rounds)
