"""The k of millions of candidates that are least similar to the labelled points (Eq. 10)."""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.blocks import over_blocks
from atal_ray.acquisition.cover.distances import Array
from atal_ray.acquisition.cover.products import row_products
from atal_ray.acquisition.dataset_budget.nearest import cosine_error
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures
from atal_ray.acquisition.rds import same_channels
from atal_ray.config.query import Similarity
from atal_ray.config.resources import Index
from atal_ray.errors import DataError

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

READ_ROWS = 32768  # candidates of a block
FEWEST = 2**16  # values that are kept before the largest are dropped


def least_similar(
    features: Matrix,
    labelled: Array,
    k: int,
    kind: Similarity,
    backend: Index = "faiss",
    gpu: bool = False,
    threads: int = 1,
) -> Indices:
    """The k candidates with the smallest phi (Eq. 10), in ascending order, equal ones in the order of the
    rows.

    It serves a few points out of millions of candidates; a query ranks its whole cover with
    `LabelledFeatures.similarity` instead. For the mean it reads the candidates once and holds a few times k
    values.

    Args:
        features: [N, C] of the candidates: unit vectors rounded to float32, or zeros, which are at cosine 0
            of everything.
        labelled: [M, C] of the labelled points, of any length.
        k: number of candidates; all N when there are fewer.
        kind: mean or nearest.
        backend: what searches.
        gpu: let faiss search on the GPU where it finds one.
        threads: blocks at a time.

    Returns:
        Rows of `features`, int64.

    Raises:
        ConfigError: faiss is not installed.
        DataError: the two have a different number of channels, a feature is not finite, or one that is found
            is no unit vector.
    """
    same_channels(features, labelled)
    k = min(k, len(features))
    if len(labelled) == 0 or k == 0:
        return np.arange(k)
    error = cosine_error(features.shape[1])
    points, least = LabelledFeatures(kind, backend, gpu, threads), Least(k, 2 * error)
    points.add(labelled)
    if kind == "mean":
        contiguous = np.ascontiguousarray(features, np.float32)
        _add_means(least, contiguous, points.mean.astype(np.float32), backend, threads)
    else:
        least.add(0, points.nearest.float32(features))
    rows = least.rows()
    lengths = np.sqrt(np.vecdot(features[rows], features[rows]))
    if np.any((lengths > 0) & (np.abs(lengths - 1) > error)):
        raise DataError("RDS: a candidate is no unit vector; divide the features by their lengths")
    phi = points.similarity(features[rows])
    return rows[np.argsort(phi, kind="stable")[:k]]


class Least:
    """The k least of many values that come block by block, and all within `slack` of the k-th.

    Blocks may come from several threads in any order: a value that is dropped is larger than the k-th of
    those seen so far, and the k-th of all is no larger.
    """

    def __init__(self, k: int, slack: float) -> None:
        self._k, self._slack, self._lock = k, slack, Lock()
        self._bound, self._most = np.float32(np.inf), max(FEWEST, 2 * k)
        self._kept: list[tuple[Indices, Matrix]] = []
        self._count = 0

    def add(self, first: int, values: Matrix) -> None:
        """Add the values of the candidates from number `first` on.

        Raises:
            DataError: one is not finite.
        """
        if not np.isfinite(values.sum()):
            raise DataError("RDS: a feature is not finite; check the features")
        inside = np.flatnonzero(values <= self._bound)
        with self._lock:
            self._kept.append((first + inside, values[inside]))
            self._count += len(inside)
            if self._count > self._most:
                self._drop()
                # Where many values are equal and stay: drop again only when there are twice as many.
                self._most = max(self._most, 2 * self._count)

    def rows(self) -> Indices:
        """Numbers of the candidates up to the k-th value plus `slack`, ascending."""
        self._drop()
        return np.sort(self._kept[0][0])

    def _drop(self) -> None:
        rows, values = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        self._bound = np.partition(values, self._k - 1)[self._k - 1] + np.float32(self._slack)
        inside = values <= self._bound
        self._kept = [(rows[inside], values[inside])]
        self._count = int(np.count_nonzero(inside))


def _add_means(least: Least, features: Matrix, mean: Matrix, backend: Index, threads: int) -> None:
    """Add the mean cosine of every candidate, one product each, within `cosine_error`."""
    products = row_products(backend)

    def add(first: int, last: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # `Least.add` refuses values that are not finite
            least.add(first, products(features[first:last], mean))

    over_blocks(add, len(features), READ_ROWS, threads)
