"""The metrics of a test set by PySODMetrics' definitions, pixel by pixel in float64."""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

EPSILON = np.finfo(np.float64).eps
Map = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Pair(NamedTuple):
    """An 8-bit saliency map and its mask."""

    saliency: npt.NDArray[np.uint8]
    mask: Mask


def naive_metrics(pairs: list[Pair]) -> dict[str, float | list[float]]:
    """Means over the images; curves at the thresholds 0..255."""
    maps = [(_normalised(saliency), mask) for saliency, mask in pairs]
    adaptive = [x >= min(2 * x.mean(), 1) for x, _ in maps]
    masks = [mask for _, mask in maps]
    levels = [np.floor(255 * x) for x, _ in maps]
    pr = np.array(
        [[_pr(level >= k, mask) for k in range(256)] for level, mask in zip(levels, masks, strict=True)]
    )
    pr_adaptive = np.array([_pr(taken, mask) for taken, mask in zip(adaptive, masks, strict=True)])
    e = np.array(
        [[_e(level >= k, mask) for k in range(256)] for level, mask in zip(levels, masks, strict=True)]
    )
    f = _f(pr[..., 0], pr[..., 1]).mean(0)
    precision, recall = pr.mean(0).T
    return {
        "images": len(pairs),
        "max_f": _f(precision, recall).max(),
        "mae": np.mean([np.abs(x - mask).mean() for x, mask in maps]),
        "s_measure": np.mean([_s(x, mask) for x, mask in maps]),
        "weighted_f": np.mean([_weighted_f(x, mask) for x, mask in maps]),
        "e_adaptive": np.mean([_e(taken, mask) for taken, mask in zip(adaptive, masks, strict=True)]),
        "e_mean": e.mean(),
        "e_max": e.mean(0).max(),
        "e_soft": np.mean([_e(saliency > 0, mask) for saliency, mask in pairs]),
        "f_adaptive": _f(pr_adaptive[:, 0], pr_adaptive[:, 1]).mean(),
        "f_mean": f.mean(),
        "f_max": f.max(),
        "f_of_mean_pr": float(_f(*pr_adaptive.mean(0))),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f_curve": f.tolist(),
        "e_curve": e.mean(0).tolist(),
    }


def _normalised(saliency: npt.NDArray[np.uint8]) -> Map:
    x = saliency / 255
    return (x - x.min()) / (x.max() - x.min()) if x.max() > x.min() else x


def _pr(taken: Mask, mask: Mask) -> tuple[float, float]:
    """Precision and recall; 0 where nothing is hit."""
    hits = int(np.count_nonzero(taken & mask))
    return hits / max(int(np.count_nonzero(taken)), 1), hits / int(np.count_nonzero(mask))


def _f(precision: Map, recall: Map) -> Map:
    """F with beta^2 = 0.3; 0 where both are 0."""
    below = 0.3 * precision + recall
    return 1.3 * precision * recall / np.where(below == 0, 1, below)


def _e(taken: Mask, mask: Mask) -> float:
    """Enhanced alignment of a binary map (Fan et al., IJCAI 2018)."""
    a, b = taken - taken.mean(), mask - mask.mean()
    alignment = 2 * a * b / (a**2 + b**2 + EPSILON)
    return float(((alignment + 1) ** 2 / 4).sum() / (mask.size - 1 + EPSILON))


def _s(x: Map, mask: Mask) -> float:
    """Structure measure (Fan et al., ICCV 2017): half objects, half quadrants around the mask's centroid."""
    share = mask.mean()
    objects = share * _uniform(x[mask]) + (1 - share) * _uniform(1 - x[~mask])
    row, column = (int(np.round(values.mean())) + 1 for values in np.nonzero(mask))
    regions = 0.0
    for rows in (slice(0, row), slice(row, None)):
        for columns in (slice(0, column), slice(column, None)):
            regions += mask[rows, columns].size / mask.size * _ssim(x[rows, columns], mask[rows, columns])
    return max(0.0, 0.5 * float(objects) + 0.5 * regions)


def _uniform(values: Map) -> float:
    mean = values.mean()
    return float(2 * mean / (mean**2 + 1 + values.std(ddof=1) + EPSILON))


def _ssim(x: Map, mask: Mask) -> float:
    g, pixels = mask.astype(np.float64), max(x.size - 1, 1)
    covariance = ((x - x.mean()) * (g - g.mean())).sum() / pixels
    upper = 4 * x.mean() * g.mean() * covariance
    variances = (((x - x.mean()) ** 2).sum() + ((g - g.mean()) ** 2).sum()) / pixels
    lower = (x.mean() ** 2 + g.mean() ** 2) * variances
    if upper == 0:
        return 1.0 if lower == 0 else 0.0
    return float(upper / (lower + EPSILON))


def _weighted_f(x: Map, mask: Mask) -> float:
    """Weighted F-measure (Margolin et al., CVPR 2014)."""
    error = np.abs(x - mask)
    distance, nearest = _nearest_object(mask.tobytes(), mask.shape)
    spread = np.where(mask, error, error.ravel()[nearest])
    padded, blurred = np.pad(spread, 3), np.zeros_like(error)
    steps = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 5.0**2))
    kernel = np.outer(steps, steps) / steps.sum() ** 2
    for (down, across), weight in np.ndenumerate(kernel):
        blurred += weight * padded[down : down + mask.shape[0], across : across + mask.shape[1]]
    weighted = np.where(mask, np.minimum(error, blurred), error * (2 - np.exp(np.log(0.5) / 5 * distance)))
    hits, false = mask.sum() - weighted[mask].sum(), weighted[~mask].sum()
    precision, recall = hits / (hits + false + EPSILON), 1 - weighted[mask].mean()
    return float(2 * precision * recall / (precision + recall + EPSILON))


@cache
def _nearest_object(data: bytes, shape: tuple[int, int]) -> tuple[Map, npt.NDArray[np.int64]]:
    """Distance to the nearest object pixel and its index: the leftmost, then the topmost, of several."""
    mask = np.frombuffer(data, bool).reshape(shape)
    columns, rows = np.nonzero(mask.T)  # column by column
    down, across = np.indices(shape)
    squares = (down[..., None] - rows) ** 2 + (across[..., None] - columns) ** 2
    first = squares.argmin(-1)
    return np.sqrt(squares.min(-1)), rows[first] * shape[1] + columns[first]
