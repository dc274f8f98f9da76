"""FiftyOne's dataset on disk: key points of images that stay where they are."""

import json
from collections.abc import Iterator
from typing import Any

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages
from atal_ray.annotation.formats.point_format import PointFormat, point_format, words_of
from atal_ray.store.folder import Folder

FIELD = "points"


@point_format("fiftyone")
class FiftyOneDataset(PointFormat):
    """samples.json and metadata.json, a LegacyFiftyOneDataset; places are shares of the sides."""

    turns = True
    keeps = "the pixel, its label, round and uncertainty; the images are named, not copied"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write both; the images are named by their paths."""
        folder.write_lines("samples.json", _samples(images))
        folder.write_json("metadata.json", {"media_type": "image"})


def _samples(images: LabelledImages) -> Iterator[str]:
    yield '{"samples": ['
    before = ""
    for image in images:
        yield before + json.dumps(_sample(image))
        before = ","
    yield "]}"


def _sample(image: LabelledImage) -> dict[str, Any]:
    rounds, scores = (image.points[name].to_pylist() for name in ("round", "score"))
    points = [
        {
            "_cls": "Keypoint",
            "label": word,
            "points": [[(int(x) + 0.5) / image.width, (int(y) + 0.5) / image.height]],
            "round": number,
            "uncertainty": score,
        }
        for (x, y), word, number, score in zip(image.xy, words_of(image), rounds, scores, strict=True)
    ]
    return {
        "filepath": image.path,
        "tags": [],
        "image_id": image.image_id,
        "metadata": {"_cls": "ImageMetadata", "width": image.width, "height": image.height},
        FIELD: {"_cls": "Keypoints", "keypoints": points},
    }
