"""labelme's JSON, a file an image: the format of P-DUTS, which PSOD reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages
from atal_ray.annotation.formats.point_format import (
    PointFormat,
    ReadPoint,
    label_of,
    pixel_of,
    point_format,
    words_of,
)
from atal_ray.errors import DataError
from atal_ray.store.folder import Folder

VERSION = "5.5.0"


@point_format("labelme")
class Labelme(PointFormat):
    """ID.json beside its image, where labelme looks for it."""

    reads = True
    turns = True
    keeps = "the pixel and its label"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write a file for each image."""
        for image in images:
            image.copy_to(folder)
            folder.write_bytes(f"{image.image_id}.json", json.dumps(_document(image), indent=1).encode())

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """The points of the JSON files of a folder, or of one."""
        files = sorted(source.glob("*.json")) if source.is_dir() else [source]
        if not files:
            raise DataError(f"{source} holds no JSON of labelme")
        for path in files:
            yield from _points(path)


def _document(image: LabelledImage) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = [
        {
            "label": word,
            "points": [[int(x), int(y)]],
            "group_id": None,
            "description": "",
            "shape_type": "point",
            "flags": {},
        }
        for (x, y), word in zip(image.xy, words_of(image), strict=True)
    ]
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image.file_name,
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }


def _points(path: Path) -> Iterator[ReadPoint]:
    shapes: list[Any]
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        name, shapes = Path(document["imagePath"].replace("\\", "/")).stem, list(document["shapes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a file of labelme: {error!r}") from error
    for number, shape in enumerate(shapes):
        place = f"{path.name}, shape {number}"
        if not isinstance(shape, dict) or shape.get("shape_type") != "point":
            raise DataError(f"{path.parent / place}: it is not a point: remove it, or make it one")
        at = str(path.parent / place)
        label = label_of(shape.get("label"), at)
        try:
            ((x, y),) = shape["points"]
            place_of = float(x), float(y)  # a click lies inside its pixel
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{at}: its points are not one pair of numbers") from error
        yield ReadPoint(name, *pixel_of(*place_of, at), label, place)
