"""Saliency maps of any method, read from disk exactly as stored, and resized to their masks."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.config.evaluation import Interpolation
from atal_ray.data.images import deep_values, is_deep, opened
from atal_ray.errors import DataError

SaliencyMap = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float64]
COLOUR_SPREAD = 8
"""Levels by which the channels of a grey picture may differ, after a colour conversion and JPEG."""

_ARRAY_TYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "float16", "float32", "float64"))
_ROUNDING = 1e-6  # float32 interpolation overshoots 1 by its rounding error
_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST_EXACT}


def read_map(path: str | Path) -> SaliencyMap:
    """A saliency map as stored, [H, W]: uint8 of 8-bit files, uint16 of 16-bit ones, float64 in [0, 1] of
    floating point.

    Three equal channels are one; channels that differ by up to 8 levels become their luma (ITU-R 601). A
    palette is read through its colours, one bit as 0 and 255, and alpha is dropped. Integer maps of zeros and
    ones are brought to full scale. Pillow reads 16-bit colour as 8 bits. A .npy file holds uint8, uint16 or
    float16 to float64 [H, W].

    Raises:
        DataError: the file is missing, damaged, of several pages, a colour picture, or its numbers are no
            saliency.
    """
    path = Path(path)
    values = _read_array(path) if path.suffix.lower() == ".npy" else _read_picture(path)
    if values.size == 0:
        raise DataError(f"{path} has no pixel: it is {list(values.shape)}, save the map again")
    return _within_unit(path, values) if values.dtype.kind == "f" else _full_scale(values)


def fit_map(
    saliency: SaliencyMap, shape: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> SaliencyMap:
    """A map brought to the size of its mask, in its own dtype; the same array where the size fits.

    Sampled at pixel centres without antialiasing, by cv2. Bilinear integers are rounded: uint16 to the
    nearest level, uint8 with fixed-point weights, so less than one level from the exact value. Nearest picks
    the pixels that Pillow picks.

    Args:
        saliency: uint8, uint16 or float64 [H, W].
        shape: height and width of the mask.
        interpolation: bilinear or nearest.
    """
    if saliency.shape == tuple(shape):
        return saliency
    height, width = shape
    resized: SaliencyMap = cv2.resize(saliency, (width, height), interpolation=_INTERPOLATIONS[interpolation])
    if resized.dtype.kind == "f":
        np.clip(resized, 0, 1, out=resized)  # cv2's float32 weights can sum to more than 1
    return resized


def _read_picture(path: Path) -> NDArray[Any]:
    """The grey levels of an image file: uint8, uint16 or floating point [H, W]."""
    with opened(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError("it holds several pages, save each map as a file of its own")
        if image.mode == "F":
            return np.array(image)
        if is_deep(image):
            return deep_values(image).astype(np.uint16)
        if image.mode in ("1", "L", "LA"):
            return np.array(image.convert("L"))
        colours = image.convert("RGB")
        spread, luma = int(np.ptp(np.asarray(colours), axis=2).max()), np.array(colours.convert("L"))
    if spread > COLOUR_SPREAD:
        raise DataError(
            f"{path} is a colour picture, not a saliency map: its channels differ by up to {spread} levels, "
            "save it in grey"
        )
    return luma


def _read_array(path: Path) -> NDArray[Any]:
    """The numbers of a .npy file, never an object of it."""
    try:
        values = np.lib.format.open_memmap(path, mode="r")  # checks the file's size before taking memory
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except Exception as error:  # a damaged header makes its parser raise almost any type
        raise DataError(f"{path} cannot be read as an array: {error}") from error
    if values.ndim != 2:
        raise DataError(f"{path} is {values.dtype} {list(values.shape)}: save one map [H, W] a file")
    native = values.dtype.newbyteorder("=")
    if native not in _ARRAY_TYPES:
        raise DataError(f"{path} holds {values.dtype}: save {', '.join(map(str, _ARRAY_TYPES))}")
    return np.array(values, native, order="C")


def _within_unit(path: Path, values: NDArray[np.floating]) -> NDArray[np.float64]:
    holes = int(np.count_nonzero(np.isnan(values)))
    if holes:
        raise DataError(f"{path} holds NaN in {holes} of {values.size} pixels: predict this image again")
    low, high = float(values.min()), float(values.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        bytelike = low >= 0 and 2 < high <= 255
        advice = (
            "divide by 255, or save as uint8"
            if bytelike
            else "save probabilities, which for logits are their sigmoid"
        )
        raise DataError(f"{path} holds values from {low:.7g} to {high:.7g}, outside of [0, 1]: {advice}")
    return np.clip(values.astype(np.float64), 0, 1)


def _full_scale(values: NDArray[Any]) -> SaliencyMap:
    """A map of zeros and ones brought to full scale, so that resizing keeps its edges; others as they are."""
    if values.max() == 1 and values.min() == 0:
        values *= np.iinfo(values.dtype).max
    return values
