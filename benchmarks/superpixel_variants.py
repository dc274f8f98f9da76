"""Ways to cut an image into superpixels: SEEDS with other settings or at half resolution, other algorithms.

All are set to find about as many as the default settings do on images of 400 x 300 pixels.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from superpixel_measures import Ids, border

from atal_ray.config import RegionConfig
from atal_ray.labels.superpixels import superpixels

Image = NDArray[np.uint8]
Cut = Callable[[Image], Ids]

DEFAULT = "default"
HAS_SCIKIT_IMAGE = find_spec("skimage") is not None
FEWEST_PERCENT = 25
"""OpenCV's SLIC and LSC join a part with its neighbour below this share of the mean size, its own default."""


def seeds(image: Image, **settings: Any) -> Ids:
    """SEEDS by the package, with some fields of `regions` changed."""
    return superpixels(image, dataclasses.replace(RegionConfig(), **settings))


def halved(image: Image) -> Image:
    """The image at half resolution."""
    height, width = image.shape[:2]
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def doubled(ids: Ids, image: Image) -> Ids:
    """A map of the halved image at the size of the image, each pixel as four."""
    height, width = image.shape[:2]
    return ids.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


def half(image: Image, cut: Cut) -> Ids:
    """Superpixels of the halved image."""
    return doubled(cut(halved(image)), image)


def half_by_colour(image: Image, cut: Cut) -> Ids:
    """The same, where each pixel at a border takes the neighbouring superpixel of the nearest mean colour."""
    small = halved(image)
    found = cut(small)
    return border_pixels_by_colour(doubled(found, image), image, found, small)


def border_pixels_by_colour(ids: Ids, image: Image, small_ids: Ids, small: Image) -> Ids:
    """The map with new superpixels for the pixels at borders; mean colours are those of the small image."""
    means, near = _mean_colours(small_ids, small), border(ids)
    colours, around = image[near].astype(np.float32), np.pad(ids, 1, mode="edge")
    best, least = ids[near], np.full(np.count_nonzero(near), np.inf, np.float32)
    for rows, columns in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)):  # itself first: it wins ties
        ours = around[rows : rows + ids.shape[0], columns : columns + ids.shape[1]][near]
        apart = means[ours] - colours
        distance = np.einsum("nc,nc->n", apart, apart)
        best, least = np.where(distance < least, ours, best), np.minimum(distance, least)
    result = ids.copy()
    result[near] = best
    return result


def half_by_watershed(image: Image, cut: Cut) -> Ids:
    """The same, where OpenCV's watershed grows the superpixels into the pixels at their borders."""
    ids = doubled(cut(halved(image)), image)
    markers = np.where(border(ids), 0, ids + 1).astype(np.int32)
    cv2.watershed(image, markers)
    return np.where(markers > 0, markers - 1, ids)  # its lines keep what they had


def slic(image: Image, algorithm: str, side: int, iterations: int, compactness: float = 10) -> Ids:
    """SLIC, SLICO or MSLIC of OpenCV on the smoothed image in CIELAB, as its documentation advises."""
    made = cv2.ximgproc.createSuperpixelSLIC(
        _smooth_lab(image), getattr(cv2.ximgproc, algorithm), side, compactness
    )
    return _iterated(made, iterations)


def lsc(image: Image, side: int, iterations: int) -> Ids:
    """LSC of OpenCV on the smoothed image in CIELAB, as its documentation advises."""
    return _iterated(cv2.ximgproc.createSuperpixelLSC(_smooth_lab(image), side), iterations)


def grid_watershed(image: Image, side: int) -> Ids:
    """OpenCV's watershed from the middles of squares."""
    height, width = image.shape[:2]
    down, across = max(1, round(height / side)), max(1, round(width / side))
    rows = ((np.arange(down) + 0.5) * height / down).astype(int)
    columns = ((np.arange(across) + 0.5) * width / across).astype(int)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = np.arange(1, down * across + 1).reshape(down, across)
    cv2.watershed(image, markers)
    filled = cv2.dilate(np.maximum(markers, 0).astype(np.float32), np.ones((3, 3), np.uint8))
    return np.where(markers > 0, markers, filled).astype(np.int32)  # its lines go to a neighbour


def scikit_slic(image: Image, segments: int, iterations: int) -> Ids:
    """SLIC of scikit-image."""
    from skimage.segmentation import slic as cut

    return np.asarray(cut(image, segments, max_num_iter=iterations, start_label=0), np.int32)


def _mean_colours(ids: Ids, image: Image) -> NDArray[np.float32]:
    """The mean colour of each superpixel, float32 [ids, 3]."""
    flat, pixels = ids.ravel(), image.reshape(-1, image.shape[2])
    area = np.maximum(np.bincount(flat), 1)
    return np.stack([np.bincount(flat, channel) / area for channel in pixels.T], axis=1).astype(np.float32)


def _smooth_lab(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_RGB2LAB), np.uint8)


def _iterated(made: Any, iterations: int) -> Ids:
    made.iterate(iterations)
    made.enforceLabelConnectivity(FEWEST_PERCENT)
    return np.asarray(made.getLabels(), np.int32)


LOOSE = partial(seeds, prior=1, double_step=False, iterations=2)
COARSE = partial(LOOSE, superpixels=500, levels=3)
"""As many superpixels of 400 x 300 pixels as by default, from blocks twice as wide."""
QUICK = partial(seeds, prior=1, iterations=2)

VARIANTS: dict[str, Cut] = {
    DEFAULT: seeds,
    "5 iterations": partial(seeds, iterations=5),
    "2 iterations": partial(seeds, iterations=2),
    "1 iteration": partial(seeds, iterations=1),
    "no double step": partial(seeds, double_step=False),
    "4 bins": partial(seeds, bins=4),
    "3 bins": partial(seeds, bins=3),
    "500 asked, 3 levels": partial(seeds, superpixels=500, levels=3),
    "450 asked, 2 levels": partial(seeds, superpixels=450, levels=2),
    "prior 1": partial(seeds, prior=1),
    "loose: prior 1, no double step, 2 iterations": LOOSE,
    "loose, 4 bins": partial(LOOSE, bins=4),
    "loose, 500 asked, 3 levels": COARSE,
    "loose, 500 asked, 3 levels, 1 iteration": partial(COARSE, iterations=1),
    "loose, 500 asked, 3 levels, 3 iterations": partial(COARSE, iterations=3),
    "loose, 500 asked, 3 levels, prior 2": partial(COARSE, prior=2),
    "loose, 500 asked, 3 levels, 6 bins": partial(COARSE, bins=6),
    "half": partial(half, cut=seeds),
    "half, prior 1, 2 iterations": partial(half, cut=QUICK),
    "half, prior 1, 2 iterations, borders by colour": partial(half_by_colour, cut=QUICK),
    "half, prior 1, 2 iterations, borders by watershed": partial(half_by_watershed, cut=QUICK),
    "watershed from a grid": partial(grid_watershed, side=16),
    "SLIC": partial(slic, algorithm="SLIC", side=16, iterations=5),
    "SLIC, 1 iteration": partial(slic, algorithm="SLIC", side=16, iterations=1),
    "SLIC, half": partial(half, cut=partial(slic, algorithm="SLIC", side=8, iterations=5)),
    "SLICO": partial(slic, algorithm="SLICO", side=16, iterations=5),
    "MSLIC": partial(slic, algorithm="MSLIC", side=36, iterations=3),
    "LSC": partial(lsc, side=16, iterations=2),
}
if HAS_SCIKIT_IMAGE:
    VARIANTS["SLIC of scikit-image"] = partial(scikit_slic, segments=450, iterations=5)
