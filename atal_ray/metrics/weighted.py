"""Weighted F-measure of a saliency map."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from atal_ray.metrics.histogram import DEPTHS, Mask, Saliency, Tally, tally

EPSILON = float(np.finfo(np.float64).eps)
WINDOW, SIGMA = 7, 5.0  # pixels, of the Gaussian that spreads an error over its neighbours
FARTHEST_IN_WINDOW = 2 * (WINDOW // 2) ** 2  # squared, of the background pixels whose Et reaches the object
CACHED = 2**14  # pixels whose float64 maps a core keeps at hand
MARGIN = 5  # pixels, more than its root
FARTHEST = 2**16 - 1  # squared; from 255 pixels on the weight is 2 but for the last bit of a float64

Map = NDArray[np.float64]


def weighted_f(saliency: Saliency, mask: Mask) -> float:
    """Fw = 2 Pw Rw / (Pw + Rw) of position-weighted errors: a false alarm counts more far from the object.

    Margolin et al., CVPR 2014, with the conventions of PySODMetrics 1.6.2. With E = |x - g|, and Et = E but
    on the background, where it is that of the nearest object pixel (the leftmost, then the topmost, of
    several): on the object Ew = min(E, Gauss(Et)) with a 7x7 window of sigma 5 and zeros outside the image;
    on the background Ew = (2 - exp(ln(1/2)/5 d)) E at the distance d from the object. TPw = |g| - sum Ew on
    the object, FPw = sum Ew off it, Rw = 1 - mean Ew on it, Pw = TPw / (TPw + FPw). An empty mask scores 0.

    Args:
        saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
        mask: bool [H, W].

    Raises:
        DataError: see `check_pair`.
    """
    return weighted_f_of(saliency, mask, tally(saliency, mask))


def weighted_f_of(saliency: Saliency, mask: Mask, t: Tally) -> float:
    """The same with the tally at hand."""
    if t.salient == 0:
        return 0.0
    lowest = saliency.min() if t.levels.dtype.kind == "i" and t.span < DEPTHS[saliency.dtype.name] else 0
    relevant = _box(saliency > lowest, _box(mask, margin=MARGIN))  # the rest: background without false alarms
    saliency, mask = saliency[relevant], mask[relevant]
    squares = squared_distance_map(mask)
    missed = _missed(saliency, int(lowest), mask, squares, t)
    false_alarms = _false_alarms(saliency, int(lowest), squares, t)
    hits = t.salient - missed
    precision, recall = hits / (hits + false_alarms + EPSILON), 1 - missed / t.salient
    return 2 * recall * precision / (recall + precision + EPSILON)


def normalised(saliency: Saliency, lowest: int, t: Tally) -> Map:
    """The map x, float64 [H, W], or that of a part of the image, given the lowest level of the whole."""
    if saliency.dtype == np.uint8:
        table: Map = t.levels / t.span
        return np.asarray(cv2.LUT(saliency, table))
    x: Map = (saliency.astype(np.float64) - lowest) / t.span
    return x


def squared_distance_map(mask: Mask) -> NDArray[np.uint16]:
    """Squared distance of each pixel to the object, uint16 [H, W]; FARTHEST where it is more."""
    distances = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # float32 keeps the root of a small integer, and the product is rounded
    return np.asarray(cv2.multiply(distances, distances, dtype=cv2.CV_16U))


@cache
def background_weights() -> Map:
    """2 - exp(ln(1/2)/5 d) by squared distance; 0 on the object itself."""
    weights: Map = 2 - np.exp(np.log(0.5) / 5 * np.sqrt(np.arange(FARTHEST + 1.0)))
    weights[0] = 0
    return weights


def _false_alarms(saliency: Saliency, lowest: int, squares: NDArray[np.uint16], t: Tally) -> float:
    """Sum of Ew off the object; some rows at a time, so that the float64 maps stay in the cache."""
    weights, rows = background_weights(), max(1, CACHED // saliency.shape[1])
    total = 0.0
    for start in range(0, len(saliency), rows):
        part = slice(start, start + rows)
        errors = normalised(saliency[part], lowest, t)
        total += float(np.einsum("ij,ij->", errors, cv2.LUT(squares[part], weights)))
    return total


def _missed(saliency: Saliency, lowest: int, mask: Mask, squares: NDArray[np.uint16], t: Tally) -> float:
    """Sum of Ew on the object, from the part of the image that reaches it."""
    near = _box(mask, margin=MARGIN)
    mask, squares = mask[near], squares[near]
    errors = np.zeros((mask.shape[0] + 2 * MARGIN, mask.shape[1] + 2 * MARGIN))
    inside = errors[MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.subtract(1, normalised(saliency[near], lowest, t), out=inside)
    np.multiply(inside, mask, out=inside)
    band = np.flatnonzero((squares > 0) & (squares <= FARTHEST_IN_WINDOW))
    objects = cv2.copyMakeBorder(mask.view(np.uint8), *(MARGIN,) * 4, cv2.BORDER_CONSTANT, value=0)
    places, nearest = _nearest(band, squares.ravel()[band], mask.shape[1], objects)
    flat = errors.ravel()
    flat[places] = flat[nearest]
    spread = cv2.sepFilter2D(errors, -1, _gaussian(), _gaussian(), borderType=cv2.BORDER_CONSTANT)
    flat[places] = 0
    return float(np.minimum(errors, spread, out=spread).sum())  # errors are 0 off the object


def _box(chosen: Mask, around: tuple[slice, slice] | None = None, margin: int = 0) -> tuple[slice, slice]:
    """The smallest rectangle that holds the chosen pixels, the rectangle `around`, and a margin."""
    parts = []
    for axis, length in enumerate(chosen.shape):
        found = np.flatnonzero(chosen.any(axis=1 - axis))
        low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (length, 0)
        if around is not None:
            low, high = min(low, around[axis].start), max(high, around[axis].stop)
        parts.append(slice(max(0, low - margin), min(length, high + margin)))
    return parts[0], parts[1]


def _nearest(
    band: NDArray[np.intp], squares: NDArray[np.uint16], width: int, objects: NDArray[np.uint8]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices, in the framed image, of the band's background pixels and of their nearest object pixels."""
    framed = width + 2 * MARGIN
    places = band + 2 * MARGIN * (band // width) + MARGIN * framed + MARGIN
    candidates = places[:, None] + (_steps() @ (framed, 1))[squares]
    first = objects.ravel()[candidates].argmax(axis=1)
    return places, candidates[np.arange(len(places)), first]


@cache
def _steps() -> NDArray[np.intp]:
    """Steps (rows, columns) by their squared length up to 18, leftmost first, then topmost; int [19, 8, 2].

    Where there are fewer than 8, the last one is repeated; a number that is no sum of two squares has none.
    """
    reach = range(-MARGIN, MARGIN + 1)
    table = np.zeros((FARTHEST_IN_WINDOW + 1, 8, 2), np.intp)
    for square in range(len(table)):
        steps = [(row, column) for column in reach for row in reach if row**2 + column**2 == square]
        if steps:
            table[square] = (steps + steps[-1:] * 8)[:8]
    return table


@cache
def _gaussian() -> Map:
    return np.asarray(cv2.getGaussianKernel(WINDOW, SIGMA, cv2.CV_64F))
