"""One row an image, with the image in it: `datasets.load_dataset("parquet", ...)` needs no script."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages, by_files
from atal_ray.annotation.formats.point_format import PointFormat, point_format
from atal_ray.store.folder import Folder

_POINT = {
    "x": pa.int32(),
    "y": pa.int32(),
    "label": pa.uint8(),
    "round": pa.int16(),
    "order": pa.int16(),
    "score": pa.float32(),
    "source": pa.string(),
}


def _value(kind: pa.DataType) -> dict[str, str]:
    return {"dtype": {pa.float32(): "float32"}.get(kind, str(kind)), "_type": "Value"}


_FEATURES = {
    "image_id": _value(pa.string()),
    "image": {"_type": "Image"},
    "height": _value(pa.int32()),
    "width": _value(pa.int32()),
    "points": {"feature": {name: _value(kind) for name, kind in _POINT.items()}, "_type": "List"},
}
SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("image", pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("points", pa.list_(pa.struct(_POINT))),
    ],
    metadata={b"huggingface": json.dumps({"info": {"features": _FEATURES}}).encode()},
)


@point_format("huggingface")
class HuggingFace(PointFormat):
    """images-00000.parquet, ..., a thousand images or 256 MiB each."""

    turns = True
    keeps = "everything but the superpixel; the images are inside"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the tables."""
        for number, some in enumerate(by_files(images)):
            folder.write_tables(f"images-{number:05d}.parquet", _tables(some), SCHEMA)


def _tables(images: list[tuple[LabelledImage, bytes]]) -> Iterator[pa.Table]:
    for image, data in images:
        yield pa.Table.from_pylist([_row(image, data)], SCHEMA)


def _row(image: LabelledImage, data: bytes) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "image": {"bytes": data, "path": image.file_name},
        "height": image.height,
        "width": image.width,
        "points": image.points.select([*_POINT]).to_pylist(),
    }
