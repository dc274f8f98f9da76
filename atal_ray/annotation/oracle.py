"""The oracle: it reads the answer to each question from the image's mask."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from atal_ray.annotation.answers import labelled
from atal_ray.data.images import read_mask
from atal_ray.data.manifest import Record
from atal_ray.errors import DataError
from atal_ray.labels.points import check_points
from atal_ray.runtime.progress_bar import progress_bar


def from_masks(
    manifest: Iterable[list[Record]], images: int, asked: pa.Table, source: str
) -> Iterator[pa.Table]:
    """The mask's label at each question, image by image.

    Args:
        manifest: the rows of all images, some at a time, ascending by id.
        images: how many there are.
        asked: rows of QUERY_SCHEMA, ascending by image id.
        source: what the points say of their origin.

    Raises:
        DataError: an image that is asked about has no mask, or it cannot be read.
    """
    ids = asked["image_id"].to_numpy()
    with progress_bar(images, "annotating", "image") as bar:
        for rows in manifest:
            first = np.searchsorted(ids, rows[0].image_id, "left")
            last = np.searchsorted(ids, rows[-1].image_id, "right")
            chunk = asked.slice(first, last - first)
            labels = np.zeros(chunk.num_rows, np.uint8)
            chunk_ids, x, y = (chunk[column].to_numpy() for column in ("image_id", "x", "y"))
            for record in rows:
                start = np.searchsorted(chunk_ids, record.image_id, "left")
                mine = slice(start, np.searchsorted(chunk_ids, record.image_id, "right"))
                if mine.start < mine.stop:
                    if record.mask is None:
                        raise DataError(
                            f"image {record.image_id} has no mask to read labels from: use budget.annotator "
                            "answers"
                        )
                    labels[mine] = read_mask(record.mask)[y[mine], x[mine]]
                bar.update(1)
            points = labelled(chunk, labels, source)
            heights = {row.image_id: row.height for row in rows}
            check_points(points, heights, {row.image_id: row.width for row in rows}, "the answers")
            yield points
