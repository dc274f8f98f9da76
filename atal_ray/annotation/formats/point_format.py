"""What a format of points is: how it is written and, where people answer in a tool of its own, read back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from atal_ray.annotation.answer_table import NAMES
from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages
from atal_ray.errors import ConfigError, DataError
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
    "fiftyone",
    "sam",
    "webdataset",
    "pixelpick",
]
OPEN = "question"
"""The word of tools for a point that nobody has labelled yet, and its `source` in a table of points."""
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class FormatSettings:
    """What some formats take into account.

    Args:
        dilate: radius of the disc that a point covers in a label map.
        image_prefix: what Label Studio finds the images under; empty: their own paths.
    """

    dilate: int = 0
    image_prefix: str = ""


NO_SETTINGS = FormatSettings()


@dataclass(frozen=True)
class ReadPoint:
    """A labelled pixel that a tool has written.

    Args:
        image_id: name of the image's file without its ending.
        x: column.
        y: row.
        label: 0, 1 or 255; None where it is still a question.
        place: where it stands, for a sentence about it.
    """

    image_id: str
    x: int
    y: int
    label: int | None
    place: str


class PointFormat(ABC):
    """Base of the formats."""

    keeps: ClassVar[str]
    """What it keeps of a point, and what it loses, in a sentence for people."""
    writes: ClassVar[bool] = True
    """Whether it can be written."""
    reads: ClassVar[bool] = False
    """Whether it can be read back."""

    knows_unsure: ClassVar[bool] = True
    """Whether a point that nobody is sure of can be told from an unlabelled pixel: questions are such."""
    turns: ClassVar[bool] = False
    """Whether its readers turn an image as the EXIF says, away from the stored pixels of the points."""
    repeats: ClassVar[bool] = True
    """Whether a pixel may stand in it twice."""

    def __init__(self, settings: FormatSettings = NO_SETTINGS) -> None:
        self.settings = settings

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


LABELS = {word: label for label, word in NAMES.items()}
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


def words_of(image: LabelledImage) -> list[str]:
    """How tools name the label of each point; that of a question is `OPEN`."""
    sources = image.points["source"].to_pylist()
    return [
        OPEN if source == OPEN else NAMES[int(label)]
        for label, source in zip(image.labels, sources, strict=True)
    ]


def label_of(word: object, place: str) -> int | None:
    """The label that a tool's word stands for; None for `OPEN`.

    Raises:
        DataError: another word.
    """
    text = str(word).strip().lower()
    if text == OPEN:
        return None
    if text not in LABELS:
        raise DataError(f"{place}: the label {word!r} is none of {', '.join(NAMES.values())}")
    return LABELS[text]


def pixel_of(x: float, y: float, place: str) -> tuple[int, int]:
    """The column and row of the pixel in which a place lies.

    Raises:
        DataError: it lies in none.
    """
    if not all(math.isfinite(value) and 0 <= value <= LARGEST for value in (x, y)):
        raise DataError(f"{place}: ({x}, {y}) is no pixel of an image")
    return math.floor(x), math.floor(y)
