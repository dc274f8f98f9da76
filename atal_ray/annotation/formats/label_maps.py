"""A grey PNG of each image with the labels of its points, in the two conventions that trainers read."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages
from atal_ray.annotation.formats.point_format import PointFormat, ReadPoint, point_format
from atal_ray.errors import DataError
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE
from atal_ray.metrics.saliency_map import png
from atal_ray.store.folder import Folder


class _Maps(PointFormat):
    """Base of the conventions."""

    knows_unsure = False
    repeats = False
    unknown: ClassVar[int]
    codes: ClassVar[dict[int, int]]
    """Label -> grey level; an unsure point is like an unlabelled pixel."""

    def drawn(self, image: LabelledImage) -> NDArray[np.uint8]:
        """The map [H, W]; each point is a disc, and where discs meet the later point counts, but its pixel
        is its own.
        """
        found = np.full((image.height, image.width), self.unknown, np.uint8)
        points = [(int(x), int(y), self.codes[int(label)]) for (x, y), label in _sure(image)]
        for x, y, code in points if self.settings.dilate else ():
            cv2.circle(found, (x, y), self.settings.dilate, code, thickness=-1)
        for x, y, code in points:
            found[y, x] = code
        return found

    @abstractmethod
    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the maps."""

    @classmethod
    def points_of(cls, path: Path) -> Iterator[ReadPoint]:
        """Every labelled pixel of a map.

        Raises:
            DataError: it is no grey image, or has a level that stands for nothing.
        """
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if found is None or found.ndim != 2 or found.dtype != np.uint8:
            raise DataError(f"{path} is not an 8-bit grey PNG: label maps are, without a palette")
        meaning = {code: label for label, code in cls.codes.items()}
        strange = set(np.unique(found).tolist()) - {cls.unknown, *meaning}
        if strange:
            known = ", ".join(map(str, sorted({cls.unknown, *meaning})))
            raise DataError(f"{path} has the grey level {min(strange)}: labels are {known}")
        for y, x in np.argwhere(found != cls.unknown).tolist():
            yield ReadPoint(path.stem, x, y, meaning[int(found[y, x])], f"{path.name}, pixel ({x}, {y})")


def _sure(image: LabelledImage) -> Iterator[tuple[NDArray[np.int32], np.uint8]]:
    return zip(image.xy[image.sure], image.labels[image.sure], strict=True)


def maps_in(folder: Path) -> list[Path]:
    """The PNG files of a folder, sorted; DataError where there is none."""
    found = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if not found:
        raise DataError(f"{folder} holds no PNG: name the folder of the label maps")
    return found


@point_format("label-maps")
class LabelMaps(_Maps):
    """ID.png: 0 background, 1 foreground, 255 unknown, as PyTorch's losses and mmsegmentation want it."""

    reads = True
    keeps = "the pixel and its label; unsure points look like unlabelled pixels, and the maps look black"
    unknown = UNSURE
    codes: ClassVar[dict[int, int]] = {BACKGROUND: 0, SALIENT: 1}

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the maps."""
        for image in images:
            folder.write_bytes(f"{image.image_id}.png", png(self.drawn(image)))

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """Every labelled pixel of the maps in a folder; discs come back as all of their pixels."""
        for path in maps_in(source):
            yield from cls.points_of(path)


@point_format("scribbles")
class Scribbles(_Maps):
    """The folder of a scribble data set (S-DUTS): image/, scribble/ID.png with 0 unknown, 1 foreground, 2
    background, and train.txt.
    """

    reads = True
    keeps = "the pixel and its label; unsure points look like unlabelled pixels"
    unknown = 0
    codes: ClassVar[dict[int, int]] = {BACKGROUND: 2, SALIENT: 1}

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the maps, the images beside them, and the list of them last."""
        for image in images:
            (folder / "scribble").write_bytes(f"{image.image_id}.png", png(self.drawn(image)))
            image.copy_to(folder / "image")
        folder.write_lines("train.txt", (image.image_id for image in images))

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """Every labelled pixel of the maps in scribble/."""
        for path in maps_in(source / "scribble" if (source / "scribble").is_dir() else source):
            yield from cls.points_of(path)
