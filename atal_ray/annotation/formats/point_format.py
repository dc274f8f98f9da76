"""What a format of points is: how it is written and, where people answer in a tool of its own, read back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from atal_ray.annotation.formats.labelled_image import LabelledImages
from atal_ray.errors import ConfigError
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE
from atal_ray.store.folder import Folder

FormatName = Literal[
    "parquet",
    "huggingface",
    "label-maps",
    "scribbles",
    "labelme",
    "coco",
    "label-studio",
    "cvat",
    "sam",
    "webdataset",
    "pixelpick",
]
WORDS = {SALIENT: "foreground", BACKGROUND: "background", UNSURE: "unsure"}
"""How tools name a label."""


@dataclass(frozen=True)
class ReadPoint:
    """A labelled pixel that a tool has written.

    Args:
        image_id: name of the image's file without its ending.
        x: column.
        y: row.
        label: 0, 1 or 255.
        place: where it stands, for a sentence about it.
    """

    image_id: str
    x: int
    y: int
    label: int
    place: str


class PointFormat(ABC):
    """Base of the formats."""

    keeps: ClassVar[str]
    """What it keeps of a point, and what it loses, in a sentence for people."""
    writes: ClassVar[bool] = True
    """Whether it can be written."""
    reads: ClassVar[bool] = False
    """Whether it can be read back."""

    def __init__(self, dilate: int = 0) -> None:
        self.dilate = dilate
        """Radius of the disc that a point covers in a label map."""

    @abstractmethod
    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the points of the images into a folder.

        Raises:
            DataError: an image cannot be read.
        """

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """The points in a file or folder of this format.

        Raises:
            ConfigError: the format cannot be read back.
            DataError: the file is damaged; the place is named.
        """
        raise ConfigError(f"points in the format {name_of(cls)} cannot be read: use {', '.join(readable())}")


FORMATS: dict[str, type[PointFormat]] = {}
Format = TypeVar("Format", bound=type[PointFormat])


def point_format(name: FormatName) -> Callable[[Format], Format]:
    """Register a format under its name."""

    def register(kind: Format) -> Format:
        FORMATS[name] = kind
        return kind

    return register


def name_of(kind: type[PointFormat]) -> str:
    """The name that a format is registered under."""
    return next(name for name, known in FORMATS.items() if known is kind)


def readable() -> list[str]:
    """The formats that can be read."""
    return [name for name, kind in FORMATS.items() if kind.reads]


def label_of(word: str) -> int | None:
    """The label that a tool's word stands for; None for another word."""
    return next((label for label, name in WORDS.items() if name == word.strip().lower()), None)
