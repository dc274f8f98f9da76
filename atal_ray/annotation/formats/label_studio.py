"""Label Studio: tasks with key points, a thousand a file, and the labelling configuration for them.

Coordinates are per cent of the image: x = 100 (column + 1/2) / width, the middle of the pixel, and the column
is floor(x width / 100).
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

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

TASKS_PER_FILE = 1000
KEYPOINT_SIZE = 0.5
"""Of a drawn point, in per cent of the width."""
CONFIG = """<View>
  <KeyPointLabels name="label" toName="image">
    <Label value="foreground" background="#00a000" hotkey="f"/>
    <Label value="background" background="#c00000" hotkey="b"/>
    <Label value="unsure" background="#e0a000" hotkey="u"/>
    <Label value="question" background="#ff2fd0"/>
  </KeyPointLabels>
  <Image name="image" value="$image" zoom="true"/>
</View>
"""


@point_format("label-studio")
class LabelStudio(PointFormat):
    """tasks-00000.json, ... and config.xml; points are predictions, which a person confirms or changes."""

    reads = True
    turns = True
    keeps = "the pixel, its label and the uncertainty when it was asked; the images are named, not copied"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the tasks."""
        rest, number = iter(images), 0
        while some := [*islice(rest, TASKS_PER_FILE)]:
            tasks = [_task(image, self.settings.image_prefix) for image in some]
            folder.write_bytes(f"tasks-{number:05d}.json", json.dumps(tasks, indent=1).encode())
            number += 1
        folder.write_bytes("config.xml", CONFIG.encode())

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """The points of an export as JSON: those of the annotations, not of predictions.

        Where an image was annotated more than once, the last annotation counts.
        """
        try:
            tasks = json.loads(source.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{source} is not an export of Label Studio as JSON: {error}") from error
        if not isinstance(tasks, list):
            raise DataError(f"{source} holds no list of tasks: export it as JSON")
        for number, task in enumerate(tasks):
            yield from _points(source, number, task)


def _task(image: LabelledImage, prefix: str) -> dict[str, Any]:
    scores = [float(score) for score in image.points["score"].to_pylist()]
    result = [
        {
            "id": f"point-{number}",
            "from_name": "label",
            "to_name": "image",
            "type": "keypointlabels",
            "original_width": image.width,
            "original_height": image.height,
            "image_rotation": 0,
            "score": score,
            "value": {
                "x": 100 * (int(x) + 0.5) / image.width,
                "y": 100 * (int(y) + 0.5) / image.height,
                "width": KEYPOINT_SIZE,
                "keypointlabels": [word],
            },
        }
        for number, ((x, y), word, score) in enumerate(zip(image.xy, words_of(image), scores, strict=True))
    ]
    return {
        "data": {
            "image": f"{prefix}{quote(image.file_name)}" if prefix else image.path,
            "image_id": image.image_id,
            "uncertainty": max(scores, default=0.0),
        },
        "predictions": [{"model_version": "atal_ray", "result": result}],
    }


def _points(source: Path, number: int, task: Any) -> Iterator[ReadPoint]:
    at = f"{source}, task {number}"
    try:
        data, annotations = task["data"], task.get("annotations") or []
        name = data.get("image_id") or Path(unquote(data["image"])).stem
        done = [one for one in annotations if not one.get("was_cancelled")]
        results = done[-1]["result"] if done else []
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{at}: it is not a task of Label Studio: {error!r}") from error
    for index, item in enumerate(results):
        place = f"{at}, result {index}"
        if not isinstance(item, dict) or item.get("type") != "keypointlabels":
            continue
        try:
            value, width, height = item["value"], item["original_width"], item["original_height"]
            middle = [value[axis] * side / 100 for axis, side in (("x", width), ("y", height))]
            (word,) = value["keypointlabels"]
            x, y = pixel_of(middle[0], middle[1], place)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{place}: it is not one labelled key point: {error!r}") from error
        yield ReadPoint(str(name), min(x, width - 1), min(y, height - 1), label_of(word, place), place)
