"""Maps as pictures: arrays become small PNG layers, opaque or to lie over a photograph."""

import io
from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.colors import to_hex, to_rgba
from numpy.typing import NDArray
from PIL import Image

from atal_ray.acquisition.uncertainty import REGION_NAMES
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE
from atal_ray.report.figure import data_uri
from atal_ray.report.picture_size import Shape

LABEL_COLOURS = {SALIENT: "#e69f00", BACKGROUND: "#0072b2", UNSURE: "#8c8c8c"}
LABEL_NAMES = {SALIENT: "salient", BACKGROUND: "background", UNSURE: "unsure"}
REGION_COLOURS = dict(zip(REGION_NAMES, ("#e4e8ec", "#009e73", "#b5458a"), strict=True))
BOUNDARY_COLOUR = "#ffe14d"
SALIENCY_MAP, UNCERTAINTY_MAP = "gray", "inferno"

_LEVELS = 64  # of a map: finer than the eye, and half the bytes of 256
_CLEAR = (0, 0, 0, 0)

Layer = str
"""A PNG as a data URI."""


def photo(image: NDArray[np.uint8], shape: Shape) -> Layer:
    """The image itself, uint8 [H, W, 3]."""
    shrinking = image.shape[0] > shape[0]
    scaled = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return _png(Image.fromarray(scaled))


def heat(values: NDArray[np.floating[Any] | np.uint8], shape: Shape, top: float, colour_map: str) -> Layer:
    """A map of values from 0 to `top`, stretched to the shape of the picture."""
    scaled = cv2.resize(values.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    levels = np.clip(scaled / top * (_LEVELS - 1), 0, _LEVELS - 1).round().astype(np.uint8)
    return _indexed(levels, [_rgba(colour) for colour in _ramp(colour_map, _LEVELS)])


def regions(kinds: NDArray[np.uint8], shape: Shape) -> Layer:
    """A map of `region_kind`, one colour a region."""
    return _indexed(_nearest(kinds, shape), [_rgba(REGION_COLOURS[name]) for name in REGION_NAMES])


def mask(values: NDArray[np.uint8], shape: Shape) -> Layer:
    """A mask of 0 and 1 in black and white."""
    return _indexed(_nearest(values, shape), [_rgba("black"), _rgba("white")])


def boundaries(superpixels: NDArray[np.int32], shape: Shape) -> Layer:
    """The borders of superpixels as lines of one pixel, clear between them."""
    ids = _nearest(superpixels, shape)
    border = np.zeros(shape, np.uint8)
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    border[1:] |= ids[1:] != ids[:-1]
    return _indexed(border, [_CLEAR, _rgba(BOUNDARY_COLOUR, 0.75)])


def labels(values: NDArray[np.uint8], shape: Shape) -> Layer:
    """Region labels as translucent colours, clear where nothing is known."""
    known = (BACKGROUND, SALIENT)
    return _indexed(
        np.minimum(_nearest(values, shape), len(known)),
        [*(_rgba(LABEL_COLOURS[label], 0.6) for label in known), _CLEAR],
    )


def gradient(colour_map: str) -> str:
    """The colours of a map from low to high, as a CSS value."""
    return f"linear-gradient(to right, {', '.join(_ramp(colour_map, 9))})"


def _ramp(colour_map: str, steps: int) -> list[str]:
    return [to_hex(colour) for colour in matplotlib.colormaps[colour_map](np.linspace(0, 1, steps))]


def _rgba(colour: str, alpha: float = 1) -> tuple[int, ...]:
    red, green, blue, opacity = (round(255 * part) for part in to_rgba(colour, alpha))
    return red, green, blue, opacity


def _nearest(values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(shape, values.shape, strict=True)
    )
    return values[np.ix_(rows, columns)]


def _indexed(index: NDArray[np.uint8], colours: Sequence[tuple[int, ...]]) -> Layer:
    """A picture whose pixels number the colours (RGBA)."""
    image = Image.fromarray(index)
    image.putpalette([part for colour in colours for part in colour[:3]])
    return _png(image, transparency=bytes(colour[3] for colour in colours), optimize=True)


def _png(image: Image.Image, **options: Any) -> Layer:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return data_uri("image/png", buffer.getvalue())
