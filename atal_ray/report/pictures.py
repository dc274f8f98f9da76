"""The pictures of one image: what each shows, and the sentence under it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.uncertainty import REGION_NAMES
from atal_ray.config.query import RegionLabels
from atal_ray.errors import counted
from atal_ray.labels.points import UNSURE
from atal_ray.labels.regions import region_labels
from atal_ray.report import overlays
from atal_ray.report.gallery_file import LEVELS, ImageMaps
from atal_ray.report.overlays import LABEL_COLOURS, LABEL_NAMES, SALIENCY_MAP, UNCERTAINTY_MAP
from atal_ray.report.picture_size import fit

_SHARE = 0.5
"""Of the side of the other pictures: there are five maps for every round."""


@dataclass(frozen=True)
class Scene:
    """One image with everything that is known of it."""

    image_id: str
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    superpixels: NDArray[np.int32] | None
    points: list[dict[str, Any]]
    """Rows of POINT_SCHEMA in the order of asking."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def xy(self) -> NDArray[np.int32]:
        """Column and row of the points, [N, 2]."""
        return np.array([(point["x"], point["y"]) for point in self.points], np.int32).reshape(-1, 2)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Labels of the points, [N]."""
        return np.array([point["label"] for point in self.points], np.uint8)


@dataclass(frozen=True)
class Dot:
    """A point on a picture, in the picture's pixels."""

    x: float
    y: float
    colour: str
    text: str
    title: str


@dataclass(frozen=True)
class Picture:
    """One picture: an optional layer, on the photograph or alone, and points on top."""

    caption: str
    layer: str = ""
    on_photo: bool = False
    dots: tuple[Dot, ...] = field(default=())


def plain_pictures(scene: Scene) -> list[Picture]:
    """The image, and its mask where there is one."""
    pictures = [Picture("Image", on_photo=True)]
    if scene.mask is not None:
        shape = fit(*scene.shape)
        pictures.append(Picture("True mask", overlays.mask(scene.mask.astype(np.uint8), shape)))
    return pictures


def map_pictures(
    scene: Scene, maps: ImageMaps | None, asked: list[dict[str, Any]], score_name: str
) -> list[Picture]:
    """What the snapshots of a round make of the image, and the points that it asked where they lie.

    Args:
        scene: the image.
        maps: of the round; without them, the points lie on the photograph.
        asked: rows with x, y, order and score, and label where they are answered.
        score_name: what the query scores pixels by.
    """
    dots = tuple(_asked_dot(scene, point) for point in asked)
    points = counted(len(asked), "point")
    if maps is None:
        return [Picture(f"{points} asked", on_photo=True, dots=dots)]
    shape = fit(*scene.shape, _SHARE)
    heats = (
        ("Prediction", maps.prediction, SALIENCY_MAP),
        ("Clean uncertainty, 1 - BvSB", maps.uncertainty, UNCERTAINTY_MAP),
        ("Uncertainty after the attack", maps.attacked, UNCERTAINTY_MAP),
    )
    pictures = [
        Picture(caption, overlays.heat(values, shape, LEVELS, colours))
        for caption, values, colours in heats
        if values is not None
    ]
    if maps.score is not None:
        score = overlays.heat(maps.score, shape, LEVELS, UNCERTAINTY_MAP)
        caption = f"Score of the query ({score_name})" + (f" and the {points} it asked" if asked else "")
        pictures.append(Picture(caption, score, dots=dots))
    elif asked:
        pictures.append(Picture(f"{points} asked", on_photo=True, dots=dots))
    if maps.regions is not None:
        shares = ", ".join(
            f"{name} {100 * np.mean(maps.regions == kind):.1f} %" for kind, name in enumerate(REGION_NAMES)
        )
        pictures.append(Picture(f"Regions: {shares}", overlays.regions(maps.regions, shape)))
    return pictures


def point_pictures(scene: Scene, mode: RegionLabels) -> list[Picture]:
    """As far as the mode has them: the superpixels, the pixels that the points label, and the points."""
    shape = fit(*scene.shape)
    pictures = []
    if scene.superpixels is not None:
        count = len(np.unique(scene.superpixels))
        pictures.append(
            Picture(
                counted(count, "superpixel"), overlays.boundaries(scene.superpixels, shape), on_photo=True
            )
        )
    if mode != "none":  # single pixels would be lost in the picture: the points show them
        mask = scene.mask if mode in ("oracle_mask", "dense") else None
        values = region_labels(scene.superpixels, scene.xy, scene.labels, scene.shape, mode, mask)
        pictures.append(Picture(_coverage(scene, values), overlays.labels(values, shape), on_photo=True))
    if scene.points:
        pictures.append(
            Picture(
                f"{counted(len(scene.points), 'point')}, each with its round",
                on_photo=True,
                dots=_dots(scene),
            )
        )
    return pictures


def _coverage(scene: Scene, values: NDArray[np.uint8]) -> str:
    known = values != UNSURE
    text = f"Region labels: {100 * known.mean():.1f} % of the pixels"
    if scene.mask is None or not known.any():
        return text
    return f"{text}, {100 * np.mean(values[known] == scene.mask[known]):.1f} % of them as in the mask"


def _dots(scene: Scene) -> tuple[Dot, ...]:
    return tuple(_dot(scene, point, str(point["round"])) for point in scene.points)


def _asked_dot(scene: Scene, point: dict[str, Any]) -> Dot:
    """A point on the maps that it was chosen by, with its place in the order of asking, from 1."""
    return _dot(scene, point, str(point["order"] + 1))


def _dot(scene: Scene, point: dict[str, Any], text: str) -> Dot:
    scale = fit(*scene.shape)[1] / scene.shape[1]
    label = point.get("label")
    name = "not answered yet" if label is None else LABEL_NAMES[label]
    return Dot(
        round((point["x"] + 0.5) * scale, 1),
        round((point["y"] + 0.5) * scale, 1),
        LABEL_COLOURS[UNSURE if label is None else label],
        text,
        f"round {point['round']}: {name} at x {point['x']}, y {point['y']}, score {point['score']:.3g}",
    )
