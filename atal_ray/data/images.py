"""Images and masks from a disk or an object store: pixels as stored, or an error that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from atal_ray.errors import DataError, StoreError
from atal_ray.store.location import AnyLocation, Location
from atal_ray.store.uri import is_uri, read_uri

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class MaskInfo:
    """A mask and what its file looked like before it was made binary."""

    mask: NDArray[np.uint8]
    """[H, W], 1 salient and 0 background."""
    channels: int
    """Channels in the file; 1 for a palette."""
    grey_pixels: int
    """Pixels that were neither the lowest nor the highest value."""
    scale: int
    """What salient was in the file: 1, or 255 (also for 16-bit files, which are brought to 255)."""

    @property
    def normalised(self) -> bool:
        """Whether the file was more than one channel of two values."""
        return self.channels > 1 or self.grey_pixels > 0


def read_image(path: AnyLocation, data: bytes | None = None) -> NDArray[np.uint8]:
    """The pixels of an image, uint8 [H, W, 3] in RGB.

    EXIF orientation is not applied: masks carry none, so turning the image would part it from its mask.
    Grey is repeated, alpha is dropped, and 16 bits are scaled to 8.

    Args:
        path: the file.
        data: all its bytes, where the caller has read them already; so in the functions below.

    Raises:
        DataError: the file is missing, damaged, cut short, too large for Pillow's limit, or has no 0-255
            scale.
    """
    with opened(path, data) as image:
        if is_deep(image):
            return np.repeat(_to_bytes(deep_values(image))[..., None], 3, axis=2)
        return np.array(image.convert("RGB"))  # asarray would be read-only


def read_size(path: AnyLocation, data: bytes | None = None) -> tuple[int, int]:
    """Height and width from the header alone; the pixels may still be damaged.

    Raises:
        DataError: the header cannot be read.
    """
    with opened(path, data) as image:
        return image.height, image.width


def read_mask(path: AnyLocation, data: bytes | None = None) -> NDArray[np.uint8]:
    """The mask of `read_mask_info`: uint8 [H, W], 1 salient and 0 background."""
    return read_mask_info(path, data).mask


def read_soft_mask(path: AnyLocation, data: bytes | None = None) -> NDArray[np.uint8]:
    """The mask with the grey of its edges: uint8 [H, W], 0 background to 255 salient, also if stored as 0/1.

    Raises:
        DataError: as for `read_image`.
    """
    levels, _, _ = _mask_levels(path, data)
    return levels


def read_mask_info(path: AnyLocation, data: bytes | None = None) -> MaskInfo:
    """A mask of one or three channels or a palette, 0/1 or 0/255, with or without grey edges.

    A pixel is salient above 128 of 255 (128 is background) in its brightest channel. A mask whose maximum
    is 1 is read as 0/1.

    Raises:
        DataError: as for `read_image`.
    """
    levels, channels, scale = _mask_levels(path, data)
    grey = int(np.count_nonzero((levels > 0) & (levels < 255)))
    return MaskInfo((levels > 128).astype(np.uint8), channels, grey, scale)


def resize(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """An image [H, W, C] or mask [H, W] as a square of `size` pixels, bilinear, as in every stage."""
    resized: NDArray[np.uint8] = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return resized


def file_bytes(path: AnyLocation) -> bytes:
    """All bytes of a file of a disk or a store.

    Raises:
        DataError: it is missing or cannot be read.
        StoreError: its store cannot be reached.
    """
    try:
        return Location.at(path).read()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


@contextmanager
def opened(path: AnyLocation, data: bytes | None = None) -> Iterator[Image.Image]:
    """An open image; every failure, on opening or decoding, is a DataError, of a store a StoreError."""
    try:
        name = str(path)
        if data is None and is_uri(name):
            data = read_uri(name)
        with Image.open(name if data is None else BytesIO(data)) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if (
                limit is not None and image.width * image.height > limit
            ):  # up to twice of it Pillow only warns
                raise ValueError(f"{image.width}x{image.height} pixels are over the limit of {limit}")
            yield image
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except StoreError:  # which says nothing about the image
        raise
    except UnidentifiedImageError as error:  # whose text names a buffer of this process
        raise DataError(f"{path} cannot be decoded: it is empty, or an image of no known format") from error
    except Exception as error:  # damaged bytes make the decoders raise almost any type
        raise DataError(f"{path} cannot be decoded: {error}") from error


def is_deep(image: Image.Image) -> bool:
    """Whether the pixels are single numbers of more than 8 bits, floating-point ones included."""
    return image.mode.startswith(("I", "F"))


def deep_values(image: Image.Image) -> NDArray[np.int32]:
    """The values of a 16-bit image as int32 [H, W]."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed scale, convert the file to 8 or 16 bits")
    values = np.asarray(image).astype(np.int32)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels are beyond 16 bits, convert the file to 8 or 16 bits")
    return values


def _to_bytes(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    return ((values + 128) // 257).astype(np.uint8)  # 65535 is 255 * 257


def _mask_levels(path: AnyLocation, data: bytes | None) -> tuple[NDArray[np.uint8], int, int]:
    """A mask brought to 0 to 255, its channels in the file, and what salient was there (1 or 255)."""
    with opened(path, data) as image:
        deep = is_deep(image)
        values = deep_values(image) if deep else _mask_values(image)
        channels = len(image.getbands())
    if values.max() == 1:
        return (values * 255).astype(np.uint8), channels, 1
    return (_to_bytes(values) if deep else values.astype(np.uint8)), channels, 255


def _mask_values(image: Image.Image) -> NDArray[np.uint8]:
    """The brightest channel of each pixel, or the indices of a palette that only numbers two classes."""
    if len(image.getbands()) == 1 and image.mode != "P":
        return np.asarray(image.convert("L"))
    pixels = np.asarray(image.convert("RGB"))
    if image.mode == "P" and np.ptp(pixels, axis=2).any():
        index = np.asarray(image)
        if index.max() <= 1:  # classes in arbitrary colours
            return index
    brightest: NDArray[np.uint8] = pixels.max(axis=2)
    return brightest
