"""Reads exported points with the libraries that the formats are for; run by a Python that has them.

    python tool_readers.py FORMAT FOLDER

Prints a JSON list of [image, x, y, label]; an image is named as the format names it.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = tuple[str, int, int, int]
LABELS = {"foreground": 1, "background": 0, "unsure": 255}


def huggingface(folder: Path) -> Iterator[Row]:
    """With `datasets`: the image is decoded too."""
    from datasets import load_dataset

    files = sorted(map(str, folder.glob("*.parquet")))
    for row in load_dataset("parquet", data_files=files, split="train", cache_dir=str(folder / "cache")):
        assert row["image"].size == (row["width"], row["height"])
        for point in row["points"]:
            yield row["image_id"], point["x"], point["y"], point["label"]


def parquet(folder: Path) -> Iterator[Row]:
    """With `datasets` as well: a plain table."""
    from datasets import load_dataset

    file = str(folder / "points.parquet")
    for row in load_dataset("parquet", data_files=file, split="train", cache_dir=str(folder / "cache")):
        yield row["image_id"], row["x"], row["y"], row["label"]


def coco(folder: Path) -> Iterator[Row]:
    """With `pycocotools`."""
    from contextlib import redirect_stdout

    from pycocotools.coco import COCO

    with redirect_stdout(sys.stderr):
        found = COCO(str(folder / "instances.json"))
    for number in found.getImgIds():
        (image,) = found.loadImgs(number)
        (annotation,) = found.loadAnns(found.getAnnIds(number))
        for (x, y), label in zip(annotation["point_coords"], annotation["point_labels"], strict=True):
            yield image["file_name"], x, y, label


def label_studio(folder: Path) -> Iterator[Row]:
    """With `label-studio-sdk`: its labelling interface accepts each prediction."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "config.xml").read_text())
    for file in sorted(folder.glob("tasks-*.json")):
        for task in json.loads(file.read_text()):
            assert interface.validate_task({"data": task["data"]})
            for prediction in task["predictions"]:
                assert interface.validate_prediction(prediction)
                yield from (_keypoint(task, item) for item in prediction["result"])


def _keypoint(task: dict[str, Any], item: dict[str, Any]) -> Row:
    value = item["value"]
    x = math.floor(value["x"] * item["original_width"] / 100)
    y = math.floor(value["y"] * item["original_height"] / 100)
    return task["data"]["image_id"], x, y, LABELS[value["keypointlabels"][0]]


def labelme(folder: Path) -> Iterator[Row]:
    """With labelme's own reader, which wants the image too."""
    from labelme import LabelFile

    for file in sorted(folder.glob("*.json")):
        found = LabelFile(str(file))
        for shape in found.shapes:
            assert shape["shape_type"] == "point"
            ((x, y),) = shape["points"]
            yield file.stem, int(x), int(y), LABELS[shape["label"]]


def fiftyone(folder: Path) -> Iterator[Row]:
    """With the importer of `fiftyone`, which needs no database until a dataset is made of it."""
    from fiftyone.utils.data.importers import LegacyFiftyOneDatasetImporter

    importer = LegacyFiftyOneDatasetImporter(str(folder))
    importer.setup()
    for sample in importer:
        width, height = sample.metadata.width, sample.metadata.height
        for point in sample["points"].keypoints:
            ((x, y),) = point.points
            yield sample["image_id"], math.floor(x * width), math.floor(y * height), LABELS[point.label]


def cvat(folder: Path) -> Iterator[Row]:
    """With `datumaro`."""
    from datumaro import AnnotationType, Dataset

    found = Dataset.import_from(str(folder), "cvat")
    names = [label.name for label in found.categories()[AnnotationType.label]]
    for item in found:
        for one in item.annotations:
            x, y = one.points
            yield item.id, math.floor(x), math.floor(y), LABELS[names[one.label]]


def webdataset(folder: Path) -> Iterator[Row]:
    """With `webdataset`: the image is decoded too."""
    import webdataset as wds

    files = sorted(map(str, folder.glob("*.tar")))
    for sample in wds.WebDataset(files, shardshuffle=False).decode("pil"):
        document = sample["points.json"]
        assert sample["jpg"].size == (document["width"], document["height"])
        for point in document["points"]:
            yield document["image_id"], point["x"], point["y"], point["label"]


if __name__ == "__main__":
    name, folder = sys.argv[1].replace("-", "_"), Path(sys.argv[2])
    print(json.dumps([*globals()[name](folder)]))
