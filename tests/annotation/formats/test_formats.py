"""Every format keeps the pixel and the label of a point; those that are read back give what was written."""

import json
import pickle
import re
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from point_tables import table_of

from atal_ray.annotation.formats import ALL
from atal_ray.annotation.formats.labelled_image import LabelledImage
from atal_ray.annotation.formats.point_format import FormatName, FormatSettings, readable
from atal_ray.errors import ConfigError, DataError
from atal_ray.store.folder import Folder

Images = list[LabelledImage]


def write(name: str, images: Images, folder: Path, dilate: int = 0) -> Path:
    ALL[name](FormatSettings(dilate)).write(images, Folder(str(folder)))
    return folder


def rows_of(images: Images, *, unsure: bool) -> set[tuple[str, int, int, int]]:
    return {
        (image.image_id, int(x), int(y), int(label))
        for image in images
        for (x, y), label in zip(image.xy, image.labels, strict=True)
        if unsure or label != 255
    }


def read(name: str, source: Path) -> set[tuple[str, int, int, int | None]]:
    return {(point.image_id, point.x, point.y, point.label) for point in ALL[name].read(source)}


def test_every_format_has_a_name_and_says_what_it_keeps() -> None:
    assert set(ALL) == set(get_args(FormatName))
    assert all(kind.keeps for kind in ALL.values())
    assert {name for name, kind in ALL.items() if not kind.writes} == {"pixelpick"}


def test_parquet_has_everything(images: Images, tmp_path: Path) -> None:
    table = pq.read_table(write("parquet", images, tmp_path / "out") / "points.parquet")
    assert table.num_rows == 6
    for row, image in [(table.to_pylist()[0], images[0]), (table.to_pylist()[2], images[1])]:
        assert {key: row[key] for key in image.points.column_names} == image.points.to_pylist()[0]
        assert (row["file_name"], row["height"], row["width"]) == (
            image.file_name,
            image.height,
            image.width,
        )


def test_hugging_face_has_the_image_and_a_list_of_points(images: Images, tmp_path: Path) -> None:
    table = pq.read_table(write("huggingface", images, tmp_path / "out") / "images-00000.parquet")
    for row, image in zip(table.to_pylist(), images, strict=True):
        assert row["image"] == {"bytes": Path(image.path).read_bytes(), "path": image.file_name}
        kept = ("x", "y", "label", "round", "order", "score", "source")
        assert row["points"] == image.points.select([*kept]).to_pylist()
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["points"]["_type"] == "List"
    assert features["points"]["feature"]["score"] == {"dtype": "float32", "_type": "Value"}
    assert features.keys() == set(table.column_names)


def test_label_maps_are_grey_and_hold_the_points(images: Images, tmp_path: Path) -> None:
    for name, folder, unknown, codes in (
        ("label-maps", "", 255, {0: 0, 1: 1}),
        ("scribbles", "scribble", 0, {0: 2, 1: 1}),
    ):
        out = write(name, images, tmp_path / name)
        for image in images:
            found = cv2.imread(str(out / folder / f"{image.image_id}.png"), cv2.IMREAD_UNCHANGED)
            expected = np.full((image.height, image.width), unknown)
            for (x, y), label in zip(image.xy, image.labels, strict=True):
                if label != 255:
                    expected[y, x] = codes[int(label)]
            assert found.dtype == np.uint8
            assert (found == expected).all()
    assert (tmp_path / "scribbles" / "train.txt").read_text().splitlines() == [one.image_id for one in images]
    copied = tmp_path / "scribbles" / "image" / images[0].file_name
    assert copied.read_bytes() == Path(images[0].path).read_bytes()


def test_dilated_points_are_discs_and_keep_their_own_pixel(images: Images, tmp_path: Path) -> None:
    (plain,) = [image for image in images if image.image_id == "plain"]
    out = write("label-maps", [plain], tmp_path / "out", dilate=2)
    found = cv2.imread(str(out / "plain.png"), cv2.IMREAD_UNCHANGED)
    assert (found[0, :3] == 0).all()
    assert found[1, 1] == 0
    assert (found[17:, 29] == 1).all()
    assert found[3, 8] == 1
    assert found[3, 6] == 1, "in the disc around (8, 3)"
    assert found[10, 15] == 255


def test_coco_has_the_fields_of_point_sup(images: Images, tmp_path: Path) -> None:
    found = json.loads((write("coco", images, tmp_path / "out") / "instances.json").read_text())
    assert [one["file_name"] for one in found["images"]] == [image.file_name for image in images]
    for entry, annotation, image in zip(found["images"], found["annotations"], images, strict=True):
        assert annotation["image_id"] == entry["id"]
        points = {
            (image.image_id, x, y, label)
            for (x, y), label in zip(annotation["point_coords"], annotation["point_labels"], strict=True)
        }
        assert points == rows_of([image], unsure=False)
        assert "segmentation" not in annotation
        on = [(x, y) for _, x, y, label in points if label == 1]
        left, top, width, height = annotation["bbox"]
        assert min(x for x, _ in on) == left
        assert max(y for _, y in on) == top + height - 1
        assert annotation["area"] == width * height > 0
    empty = json.loads((write("coco", [], tmp_path / "empty") / "instances.json").read_text())
    assert empty["images"] == empty["annotations"] == []


def test_an_object_without_a_click_has_the_whole_image_as_its_box(images: Images, tmp_path: Path) -> None:
    image = images[1]
    background = image.points.filter(image.points["label"].cast("int32").to_numpy() == 0)
    one = LabelledImage(image.image_id, image.path, image.height, image.width, background)
    found = json.loads((write("coco", [one], tmp_path / "out") / "instances.json").read_text())
    assert found["annotations"][0]["bbox"] == [0, 0, image.width, image.height]


def test_an_image_without_a_sure_point_is_left_out_where_unsure_ones_are(
    images: Images, tmp_path: Path
) -> None:
    image, points = images[0], images[0].points
    column = points.schema.get_field_index("label")
    labels = pa.array([255] * points.num_rows, points.schema.field("label").type)
    nothing = points.set_column(column, points.schema.field("label"), labels)
    unsure = LabelledImage(image.image_id, image.path, image.height, image.width, nothing)
    found = json.loads((write("coco", [unsure, images[1]], tmp_path / "coco") / "instances.json").read_text())
    assert [one["file_name"] for one in found["images"]] == [images[1].file_name]
    assert [one["image_id"] for one in found["annotations"]] == [1]
    out = write("sam", [unsure, images[1]], tmp_path / "sam")
    assert [path.name for path in out.iterdir()] == [f"{images[1].image_id}.npz"]


def test_sam_prompts_are_columns_and_rows(images: Images, tmp_path: Path) -> None:
    out = write("sam", images, tmp_path / "out")
    for image in images:
        with np.load(out / f"{image.image_id}.npz") as found:
            assert found["point_coords"].dtype == np.float32
            pairs = zip(found["point_coords"].astype(int), found["point_labels"], strict=True)
            assert {(image.image_id, int(x), int(y), int(label)) for (x, y), label in pairs} == rows_of(
                [image], unsure=False
            )


def test_fiftyone_has_key_points_in_the_middle_of_their_pixels(images: Images, tmp_path: Path) -> None:
    out = write("fiftyone", images, tmp_path / "out")
    assert json.loads((out / "metadata.json").read_text()) == {"media_type": "image"}
    samples = json.loads((out / "samples.json").read_text())["samples"]
    assert [one["filepath"] for one in samples] == [image.path for image in images]
    for sample, image in zip(samples, images, strict=True):
        for point, (x, y) in zip(sample["points"]["keypoints"], image.xy, strict=True):
            assert point["points"] == [[(x + 0.5) / image.width, (y + 0.5) / image.height]]


def test_a_web_dataset_is_a_tar_of_whole_samples(images: Images, tmp_path: Path) -> None:
    out = write("webdataset", images, tmp_path / "out")
    with tarfile.open(out / "points-000000.tar") as archive:
        names = archive.getnames()
        read_file = {name: archive.extractfile(name).read() for name in names}
    for image in images:
        key = image.image_id.replace(".", "%2E")
        assert names.index(f"{key}.points.json") == names.index(f"{key}.jpg") + 1
        assert read_file[f"{key}.jpg"] == Path(image.path).read_bytes()
        document = json.loads(read_file[f"{key}.points.json"])
        assert document["image_id"] == image.image_id
        found = {(image.image_id, one["x"], one["y"], one["label"]) for one in document["points"]}
        assert found == rows_of([image], unsure=True)
        drawn = cv2.imdecode(np.frombuffer(read_file[f"{key}.seg.png"], np.uint8), cv2.IMREAD_UNCHANGED)
        assert drawn.shape == (image.height, image.width)
    assert all(name.count(".") <= 2 for name in names)


def label_studio_answers(source: Path, target: Path) -> Path:
    """What Label Studio exports when a person takes the predictions as they are."""
    tasks = json.loads(source.read_text())
    for task in tasks:
        (prediction,) = task.pop("predictions")
        task["annotations"] = [
            {"was_cancelled": True, "result": []},
            {"result": prediction["result"] + [{"type": "rectanglelabels", "value": {}}]},
        ]
    target.write_text(json.dumps(tasks))
    return target


def source_of(name: str, images: Images, folder: Path) -> Path:
    """A file or folder of a format that holds the points of the images."""
    if name == "pixelpick":
        columns = {"x_coords": 0, "y_coords": 1}
        queries = {
            f"data/{image.image_id}.jpg": {
                **{key: image.xy[:, axis] for key, axis in columns.items()},
                "category_id": image.labels.tolist(),
            }
            for image in images
        }
        folder.mkdir()
        (folder / "queries.pkl").write_bytes(pickle.dumps(queries))
        return folder / "queries.pkl"
    write(name, images, folder)
    if name == "label-studio":
        return label_studio_answers(folder / "tasks-00000.json", folder / "answers.json")
    return folder / "annotations.xml" if name == "cvat" else folder


@pytest.mark.parametrize("name", readable())
def test_what_is_read_back_is_what_was_written(name: str, images: Images, tmp_path: Path) -> None:
    unsure = name not in ("label-maps", "scribbles")
    assert read(name, source_of(name, images, tmp_path / "out")) == rows_of(images, unsure=unsure)


def test_formats_that_are_not_read_say_which_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format sam cannot be read: use .*label-studio"):
        ALL["sam"].read(tmp_path)


@pytest.mark.parametrize("width", [1, 7, 352, 1000, 4096])
def test_every_column_survives_per_cents_and_two_decimals(width: int, tmp_path: Path) -> None:
    points = [(x, 0, 1) for x in range(width)]
    (tmp_path / "a.jpg").write_bytes(b"")
    image = LabelledImage("a", str(tmp_path / "a.jpg"), 1, width, table_of("a", points))
    for name in ("label-studio", "cvat"):
        assert read(name, source_of(name, [image], tmp_path / name)) == rows_of([image], unsure=True)


def test_label_studio_asks_with_the_uncertainty_to_sort_by(images: Images, tmp_path: Path) -> None:
    out = write("label-studio", images, tmp_path / "out")
    (first, second) = json.loads((out / "tasks-00000.json").read_text())
    assert (first["data"]["uncertainty"], second["data"]["uncertainty"]) == (0.25, 0.75)
    assert first["data"]["image"] == images[0].path
    config = ET.fromstring((out / "config.xml").read_text())
    values = [label.get("value") for label in config.iter("Label")]
    assert values == ["foreground", "background", "unsure", "question"]
    for item in first["predictions"][0]["result"]:
        assert {item["from_name"], item["to_name"]} == {
            config.find("KeyPointLabels").get("name"),
            config.find("Image").get("name"),
        }


def test_cvat_comes_as_a_zip_too(images: Images, tmp_path: Path) -> None:
    source = source_of("cvat", images, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.write(source, "annotations.xml")
    assert read("cvat", tmp_path / "job.zip") == rows_of(images, unsure=True)
    root = ET.fromstring(source.read_text())
    assert [image.get("name") for image in root.iter("image")] == [image.file_name for image in images]


WRONG: list[tuple[str, str, Any, str]] = [
    ("labelme", "a.json", "[]", "a.json is not a file of labelme"),
    (
        "labelme",
        "a.json",
        {"imagePath": "a.jpg", "shapes": [{"shape_type": "polygon", "label": "foreground"}]},
        "shape 0: it is not a point",
    ),
    (
        "labelme",
        "a.json",
        {"imagePath": "a.jpg", "shapes": [{"shape_type": "point", "label": "cat", "points": [[1, 2]]}]},
        "shape 0: the label 'cat' is none of",
    ),
    (
        "labelme",
        "a.json",
        {"imagePath": "a.jpg", "shapes": [{"shape_type": "point", "label": "unsure", "points": [[1]]}]},
        "shape 0: its points are not one pair of numbers",
    ),
    ("label-studio", "a.json", {"tasks": []}, "holds no list of tasks"),
    ("label-studio", "a.json", "{", "is not an export of Label Studio as JSON"),
    ("label-studio", "a.json", ["task"], "task 0: it is not a task of Label Studio"),
    (
        "label-studio",
        "a.json",
        [{"data": {"image": "a.jpg"}, "annotations": [{"result": [{"type": "keypointlabels"}]}]}],
        "task 0, result 0: it is not one labelled key point",
    ),
    ("cvat", "a.xml", "<annotations>", "is not an export of CVAT for images 1.1"),
    (
        "cvat",
        "a.xml",
        '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>',
        "is not an export of CVAT for images 1.1",
    ),
    (
        "cvat",
        "a.xml",
        '<a><image name="i.jpg"><points label="foreground" points="1,2;3,4"/></image></a>',
        "image i.jpg, points 0: '1,2;3,4' is not one pair of numbers",
    ),
    (
        "cvat",
        "a.xml",
        '<a><image name="i.jpg"><points label="dog" points="1,2"/></image></a>',
        "image i.jpg, points 0: the label 'dog' is none of",
    ),
    ("pixelpick", "a.pkl", b"no pickle", "is not a plain queries.pkl of PixelPick"),
    (
        "pixelpick",
        "a.pkl",
        pickle.dumps({"a": {"x_coords": [1], "category_id": [1]}}),
        "it needs x_coords, y_coords and category",
    ),
    (
        "pixelpick",
        "a.pkl",
        pickle.dumps({"a": {"x_coords": [1], "y_coords": [1], "category_id": [7]}}),
        "a, point 0: the category 7 is none of 0, 1 and 255",
    ),
    ("label-maps", "a.txt", "", "holds no PNG"),
    (
        "labelme",
        "a.json",
        {"imagePath": "a.jpg", "shapes": [{"shape_type": "point", "label": "unsure", "points": [[1e12, 2]]}]},
        "shape 0: (1000000000000.0, 2.0) is no pixel of an image",
    ),
    (
        "cvat",
        "a.xml",
        '<a><image name="i.jpg"><points label="unsure" points="inf,2"/></image></a>',
        "points 0: (inf, 2.0) is no pixel of an image",
    ),
    ("cvat", "a.xml", '<?xml version="1.0" encoding="no"?><a/>', "is not an export of CVAT for images 1.1"),
    ("cvat", "a.zip", b"PK\x03\x04", "is not an export of CVAT for images 1.1"),
    (
        "pixelpick",
        "a.pkl",
        pickle.dumps({"a": {"x_coords": np.array([1]), "y_coords": np.array([2])}}),
        "a has no category_id: these are questions without labels",
    ),
]


@pytest.mark.parametrize(("name", "file", "content", "sentence"), WRONG)
def test_what_is_wrong_is_named(name: str, file: str, content: Any, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=re.escape(sentence)):
        list(ALL[name].read(tmp_path if name == "label-maps" else path))


def test_maps_with_a_palette_or_a_strange_level_are_refused(tmp_path: Path) -> None:
    for pixels, sentence in (
        (np.full((2, 2), 7, np.uint8), "grey level 7: labels are 0, 1, 255"),
        (np.zeros((2, 2, 3), np.uint8), "is not an 8-bit grey PNG"),
    ):
        cv2.imwrite(str(tmp_path / "a.png"), pixels)
        with pytest.raises(DataError, match=sentence):
            list(ALL["label-maps"].read(tmp_path))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("/tmp/never"), "ran")


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    (tmp_path / "queries.pkl").write_bytes(pickle.dumps({"a": Bomb()}))
    with pytest.raises(DataError, match=r"it names pathlib.*, which is not read"):
        list(ALL["pixelpick"].read(tmp_path / "queries.pkl"))
    with pytest.raises(ConfigError, match="is read, and not written"):
        ALL["pixelpick"]().write([], Folder(str(tmp_path)))


def test_the_page_says_of_each_format_what_it_keeps() -> None:
    page = " ".join((Path(__file__).resolve().parents[3] / "docs/points.md").read_text().split())
    for name, kind in ALL.items():
        if kind.writes:
            assert f"| `{name}` |" in page, name
            assert f"| {kind.keeps} |" in page, name
    assert all(f"`{name}`" in page for name in readable())
