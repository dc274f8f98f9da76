"""An image with its points, as every format gets it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.data.image_traits import orientation_of
from atal_ray.data.images import file_bytes, opened
from atal_ray.errors import DataError
from atal_ray.labels.points import UNSURE
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location


@dataclass(frozen=True)
class LabelledImage:
    """One image and its points.

    Args:
        image_id: its name in the campaign.
        path: of its file, absolute, or a URI.
        height: in pixels, as stored.
        width: in pixels.
        points: rows of POINT_SCHEMA, in the order of asking; of a question the label is unsure.
    """

    image_id: str
    path: str
    height: int
    width: int
    points: pa.Table

    @property
    def file_name(self) -> str:
        """The name of its file, without the folder."""
        return Location.at(self.path).name

    @property
    def xy(self) -> NDArray[np.int32]:
        """Column and row of the points [N, 2]."""
        return np.stack([self.points["x"].to_numpy(), self.points["y"].to_numpy()], 1).astype(np.int32)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Labels of the points [N]."""
        return np.asarray(self.points["label"].to_numpy(), np.uint8)

    @property
    def sure(self) -> NDArray[np.bool_]:
        """Which points somebody was sure of [N]; many formats know no others."""
        return np.asarray(self.labels != UNSURE)

    @property
    def is_turned(self) -> bool:
        """Whether viewers turn it as its EXIF says; of a file that cannot be read here nobody knows."""
        try:
            with opened(self.path) as image:
                return orientation_of(image) != 1
        except DataError:
            return False

    def copy_to(self, folder: Folder) -> None:
        """Put its file into a folder, on one disk as a hard link.

        Raises:
            DataError: the file is gone.
        """
        source = Location.at(self.path)
        where = Folder(source.parent.uri)
        if not where.exists(source.name):
            raise DataError(f"{self.path} is not there any more")
        folder.copy_from(where, source.name)

    def read_bytes(self) -> bytes:
        """The file; DataError where it cannot be read."""
        return file_bytes(self.path)


def with_labels(images: "LabelledImages") -> Iterator[LabelledImage]:
    """The images with a point that somebody was sure of."""
    return (image for image in images if image.sure.any())


def by_files(
    images: "LabelledImages", most: int = 1000, most_bytes: int = 2**28
) -> Iterator[list[tuple[LabelledImage, bytes]]]:
    """The images with their files' bytes, as many at a time as one file of a format takes.

    Args:
        images: all of them.
        most: images at a time.
        most_bytes: of them, but at least one image.

    Raises:
        DataError: an image cannot be read.
    """
    some: list[tuple[LabelledImage, bytes]] = []
    size = 0
    for image in images:
        data = image.read_bytes()
        if some and (len(some) == most or size + len(data) > most_bytes):
            yield some
            some, size = [], 0
        some.append((image, data))
        size += len(data)
    if some:
        yield some


class LabelledImages(Protocol):
    """Images that can be gone through more than once."""

    def __iter__(self) -> Iterator[LabelledImage]:
        """The images, in the order of their ids."""
