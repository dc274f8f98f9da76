"""What a person sees of an image: the whole, and a crop around the asked pixel, turned as cameras say.

Coordinates stay those of the stored pixels; only the picture is turned for the eye.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from atal_ray.data import image_traits
from atal_ray.data.images import opened, read_image
from atal_ray.data.record import Record, unchanged

SIDE = 1280
"""Longest side of the whole picture, in pixels."""
REACH, ZOOM = 26, 6
"""Pixels around the asked one in the crop, and how much larger they are shown."""
RECORDS_KEPT, WHOLE_KEPT, DECODED_KEPT = 4096, 32, 2
"""Orientations, pictures and decoded images that are kept: an image is asked about more than once."""


@dataclass(frozen=True)
class SeenPlace:
    """Where the asked pixel lies in the turned picture: its middle, as shares of width and height."""

    x: float
    y: float
    width: int
    height: int
    """Of the turned picture, in stored pixels."""


@lru_cache(RECORDS_KEPT)
def orientation_of(record: Record) -> int:
    """The EXIF orientation 1 to 8 of an image's file."""
    data = unchanged(record.image, record.image_bytes, record.image_digest)
    with opened(record.image, data) as image:
        return image_traits.orientation_of(image)


def place(x: int, y: int, width: int, height: int, orientation: int) -> SeenPlace:
    """Where a stored pixel lies after the turn of an orientation.

    Args:
        x: column as stored.
        y: row.
        width: as stored.
        height: as stored.
        orientation: 1 to 8 of EXIF.
    """
    u, v = (x + 0.5) / width, (y + 0.5) / height
    turned = {
        1: (u, v),
        2: (1 - u, v),
        3: (1 - u, 1 - v),
        4: (u, 1 - v),
        5: (v, u),
        6: (1 - v, u),
        7: (1 - v, 1 - u),
        8: (v, 1 - u),
    }[orientation]
    sides = (width, height) if orientation < 5 else (height, width)
    return SeenPlace(*turned, *sides)


def whole(record: Record, x: int, y: int, orientation: int) -> bytes:
    """The image as JPEG, turned, at most `SIDE` pixels long; no pixel is marked in it."""
    del x, y  # the page draws the ring
    return _whole(record, orientation)


@lru_cache(WHOLE_KEPT)
def _whole(record: Record, orientation: int) -> bytes:
    image = _turned(Image.fromarray(_pixels(record)), orientation)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "JPEG", quality=88, subsampling=0)


def crop(record: Record, x: int, y: int, orientation: int) -> bytes:
    """The pixels around one, each shown as a square of `ZOOM` pixels, as PNG; black outside the image."""
    box = (x - REACH, y - REACH, x + REACH + 1, y + REACH + 1)
    around = Image.fromarray(_pixels(record)).crop(box)
    side = (2 * REACH + 1) * ZOOM
    return _encoded(_turned(around, orientation).resize((side, side), Image.Resampling.NEAREST), "PNG")


@lru_cache(DECODED_KEPT)
def _pixels(record: Record) -> NDArray[np.uint8]:
    data = unchanged(record.image, record.image_bytes, record.image_digest)
    return read_image(record.image, data)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    if orientation == 1:
        return image
    image.getexif()[ExifTags.Base.Orientation] = orientation
    turned = ImageOps.exif_transpose(image)
    return image if turned is None else turned


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()
