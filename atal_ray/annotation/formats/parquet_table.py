"""One row a point: the table that this project reads back."""

from collections.abc import Iterator

import pyarrow as pa

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages
from atal_ray.annotation.formats.point_format import PointFormat, point_format
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.store.folder import Folder

_IMAGE = [
    pa.field("file_name", pa.string(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("width", pa.int32(), nullable=False),
]
POINT_TABLE = pa.schema([POINT_SCHEMA.field(0), *_IMAGE, *list(POINT_SCHEMA)[1:]])


@point_format("parquet")
class ParquetTable(PointFormat):
    """points.parquet."""

    keeps = "everything; `--data.points` of a campaign takes it"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the table."""
        folder.write_tables("points.parquet", _tables(images), POINT_TABLE)


def _tables(images: LabelledImages) -> Iterator[pa.Table]:
    for image in images:
        yield _rows(image)


def _rows(image: LabelledImage) -> pa.Table:
    count = image.points.num_rows
    of_image = [
        pa.repeat(pa.scalar(value, field.type), count)
        for value, field in zip((image.file_name, image.height, image.width), _IMAGE, strict=True)
    ]
    first, *rest = [image.points[name] for name in POINT_SCHEMA.names]
    return pa.table([first, *of_image, *rest], schema=POINT_TABLE)
