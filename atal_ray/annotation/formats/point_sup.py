"""COCO JSON with the fields of Detectron2's PointSup: foreground and background points of an object."""

import json
from collections.abc import Iterator
from typing import Any

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages, with_labels
from atal_ray.annotation.formats.point_format import PointFormat, point_format
from atal_ray.labels.points import SALIENT
from atal_ray.store.folder import Folder

CATEGORY = {"id": 1, "name": "salient", "supercategory": "object"}


@point_format("coco")
class PointSup(PointFormat):
    """instances.json: of each image one annotation with point_coords and point_labels, without a mask."""

    knows_unsure = False
    turns = True
    keeps = "the pixel and its label; unsure points are left out"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the file, an entry a line: it need not fit into memory."""
        folder.write_lines("instances.json", _lines(images))


def _lines(images: LabelledImages) -> Iterator[str]:
    yield '{"info": {"description": "points of atal_ray"}, "licenses": [],'
    yield f'"categories": [{json.dumps(CATEGORY)}],'
    yield '"images": ['
    yield from _joined({**_image(image), "id": number} for number, image in enumerate(with_labels(images), 1))
    yield '], "annotations": ['
    yield from _joined(_annotation(image, number) for number, image in enumerate(with_labels(images), 1))
    yield "]}"


def _joined(entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The entries as lines of an array."""
    before = ""
    for entry in entries:
        if before:
            yield f"{before},"
        before = json.dumps(entry)
    if before:
        yield before


def _image(image: LabelledImage) -> dict[str, Any]:
    return {"file_name": image.file_name, "height": image.height, "width": image.width}


def _annotation(image: LabelledImage, number: int) -> dict[str, Any]:
    """The object's box is that of its points, or the whole image where no point lies on it."""
    xy, labels = image.xy[image.sure], image.labels[image.sure]
    on = xy[labels == SALIENT]
    box = [0, 0, image.width, image.height]
    if len(on):
        (left, top), (right, bottom) = on.min(0).tolist(), on.max(0).tolist()
        box = [left, top, right - left + 1, bottom - top + 1]
    return {
        "id": number,
        "image_id": number,
        "category_id": CATEGORY["id"],
        "bbox": box,
        "area": box[2] * box[3],
        "iscrowd": 0,
        "point_coords": xy.tolist(),
        "point_labels": labels.tolist(),
    }
