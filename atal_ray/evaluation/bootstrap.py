"""The paired bootstrap over the images of a test set: is one method better, or is the difference chance?"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.errors import ConfigError, DataError, counted
from atal_ray.seeding import rng

_BLOCK = 2**20  # draws held at once: 8 MiB as integers, the same again as weights

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far the mean of method A lies above that of method B."""

    mean: float
    low: float
    """Lower end of the percentile confidence interval."""
    high: float
    """Upper end."""
    p: float
    """Two-sided: twice the share of resamples on the other side of zero, at most 1 and never 0."""
    images: int


def paired_bootstrap(
    a: pa.Table, b: pa.Table, resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> dict[str, Difference]:
    """Compare two methods' means over images drawn with replacement, the same ones for both methods.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. p = min(1, 2 (1 + min(#{d <= 0},
    #{d >= 0})) / (1 + resamples)) over the resampled differences d. The result depends on the seed and the
    scores, not on the order of the rows. There is no variant for the classic maxF and the curves: maxF is the
    maximum of a function of the means over the whole test set, so no image has one, and per-image scalars
    cannot give it back. Time is O(resamples x images), memory a fixed block.

    Args:
        a: per-image scores of a method: image_id and float64 columns, one row an image, in any order.
        b: those of the other method on the same images.
        resamples: how many times to draw as many images as there are.
        seed: of the draws.
        level: of the confidence interval, in (0, 1).

    Returns:
        A difference for each float64 column that both tables have, a minus b.

    Raises:
        DataError: an image is missing on one side or there twice, a score is missing, or there is no common
            score or no image.
        ConfigError: fewer than one resample or a level outside (0, 1).
    """
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}: draw at least one, ten thousand for a p of two digits")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}: a confidence level lies between 0 and 1, such as 0.95")
    names, differences = _differences(a, b)
    drawn = _resampled_means(differences, resamples, seed)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    other_side = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
    p = np.minimum(1, 2 * (1 + other_side) / (1 + resamples))
    means = differences.mean(axis=0)
    images = len(differences)
    return {
        name: Difference(float(means[i]), float(low[i]), float(high[i]), float(p[i]), images)
        for i, name in enumerate(names)
    }


def _differences(a: pa.Table, b: pa.Table) -> tuple[list[str], Values]:
    """Names of the common scores, and a minus b of each image, [N, scores] by ascending image_id."""
    tables = [_by_image(a, "first"), _by_image(b, "second")]
    ids = [table["image_id"].to_pylist() for table in tables]
    if ids[0] != ids[1]:
        differing = sorted(set(ids[0]) ^ set(ids[1]))
        side = "second" if differing[0] in set(ids[0]) else "first"
        raise DataError(
            f"per-image scores: {counted(len(differing), 'image is', 'images are')} in one table only, "
            f"{differing[0]!r} is not in the {side}: score both methods on the same images"
        )
    if not ids[0]:
        raise DataError("per-image scores: the tables have no image")
    scored = [{field.name for field in table.schema if field.type == pa.float64()} for table in tables]
    names = [name for name in a.column_names if name in scored[0] & scored[1]]
    if not names:
        raise DataError(
            f"per-image scores: no float64 column is in both tables: {a.column_names} and {b.column_names}"
        )
    values = [np.stack([table[name].to_numpy() for name in names], axis=1) for table in tables]
    for table, part in zip(("first", "second"), values, strict=True):
        if not np.isfinite(part).all():
            row, column = np.argwhere(~np.isfinite(part))[0]
            raise DataError(
                f"per-image scores: the {table} table has no {names[column]} for {ids[0][row]!r}: "
                "evaluate that method again"
            )
    return names, values[0] - values[1]


def _by_image(table: pa.Table, name: str) -> pa.Table:
    """The table by ascending image_id, each there once."""
    if "image_id" not in table.column_names:
        raise DataError(f"per-image scores: the {name} table has no column image_id: {table.column_names}")
    ids = table["image_id"].to_pylist()
    repeated = sorted({image_id for image_id, count in Counter(ids).items() if count > 1})
    if repeated:
        raise DataError(
            f"per-image scores: the {name} table has {repeated[0]!r} more than once: one row an image"
        )
    return table.sort_by("image_id")


def _resampled_means(differences: Values, resamples: int, seed: int) -> Values:
    """Mean differences of each resample, [resamples, scores]: each image counts as often as it was drawn."""
    images = len(differences)
    draws = rng("paired bootstrap", seed)
    rows = max(1, _BLOCK // images)
    means = np.empty((resamples, differences.shape[1]))
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        drawn = draws.integers(images, size=(block, images)) + images * np.arange(block)[:, None]
        times = np.bincount(drawn.ravel(), minlength=block * images).reshape(block, images)
        means[start : start + block] = times.astype(np.float64) @ differences / images
    return means
