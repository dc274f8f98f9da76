"""CVAT for images 1.1: annotations.xml with a `points` element for each point.

CVAT keeps two decimals; a point lies in the middle of its pixel, (column + 1/2, row + 1/2).
"""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr
from zipfile import ZipFile

from defusedxml.ElementTree import fromstring

from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages
from atal_ray.annotation.formats.point_format import (
    LABELS,
    OPEN,
    PointFormat,
    ReadPoint,
    label_of,
    pixel_of,
    point_format,
    words_of,
)
from atal_ray.errors import DataError
from atal_ray.store.folder import Folder

XML = "annotations.xml"
MOST = 2**30
"""Largest annotations.xml that is read, in bytes: a small zip may hold a huge one."""


@point_format("cvat")
class Cvat(PointFormat):
    """annotations.xml, and the images in images/."""

    reads = True
    turns = True
    keeps = "the pixel and its label; the images lie in images/, as links where the disk allows it"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the images, and last the file, an element a line: it need not fit into memory."""
        for image in images:
            image.copy_to(folder / "images")
        folder.write_lines(XML, _lines(images))

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """The points of annotations.xml, or of the zip that CVAT exports."""
        try:
            root = fromstring(_xml(source), forbid_dtd=True)
        except DataError:
            raise
        except Exception as error:  # damaged zips and XML fail in many ways
            raise DataError(f"{source} is not an export of CVAT for images 1.1: {error!r}") from error
        for image in root.iter("image"):
            name = image.get("name", "")
            for number, element in enumerate(image.iter("points")):
                yield _point(source, name, number, element.get("label", ""), element.get("points", ""))


def _lines(images: LabelledImages) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "  <version>1.1</version>"
    labels = "".join(
        f"<label><name>{word}</name><attributes></attributes></label>" for word in (*LABELS, OPEN)
    )
    yield f"  <meta><task><name>atal_ray</name><labels>{labels}</labels></task></meta>"
    for number, image in enumerate(images):
        size = f'width="{image.width}" height="{image.height}"'
        yield f'  <image id="{number}" name={quoteattr(image.file_name)} {size}>'
        yield from _elements(image)
        yield "  </image>"
    yield "</annotations>"


def _elements(image: LabelledImage) -> Iterator[str]:
    for (x, y), word in zip(image.xy, words_of(image), strict=True):
        place = f"{int(x) + 0.5:.2f},{int(y) + 0.5:.2f}"
        of = f'label="{word}" source="auto" occluded="0" z_order="0"'
        yield f'    <points {of} points="{place}"/>'


def _xml(source: Path) -> bytes:
    if source.suffix.lower() != ".zip":
        return source.read_bytes()
    with ZipFile(source) as archive:
        size = archive.getinfo(XML).file_size
        if size > MOST:
            raise DataError(f"{source}: {XML} has {size:,} bytes, more than {MOST:,}: unpack it and split it")
        return archive.read(XML)


def _point(source: Path, name: str, number: int, word: str, text: str) -> ReadPoint:
    place = f"{source}, image {name}, points {number}"
    label = label_of(word, place)
    try:
        ((x, y),) = [pair.split(",") for pair in text.split(";")]
        place_of = float(x), float(y)
    except ValueError as error:
        raise DataError(f"{place}: {text!r} is not one pair of numbers") from error
    stem = Path(name.replace("\\", "/")).stem
    return ReadPoint(stem, *pixel_of(*place_of, place), label, place)
