"""Eq. 10 over millions of candidates: a float32 search, and float64 in a fixed order for whatever its
rounding leaves open.

The values are those of `rds.mean_similarity` and `rds.nearest_similarity`, bit for bit, with either back end,
on a GPU or not, and with any number of threads. Where the labelled points come in pieces, the last bits of
the mean depend on the pieces.
"""

from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.dataset_budget.blocks import over_blocks
from atal_ray.acquisition.dataset_budget.distances import Array, dimensions_of
from atal_ray.acquisition.dataset_budget.products import load_faiss, row_products
from atal_ray.acquisition.rds import cosines, same_channels, unit_vectors
from atal_ray.config.query import Similarity
from atal_ray.config.resources import Index
from atal_ray.errors import DataError

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

ROWS = 4096  # of a block in float64
READ_ROWS = 32768  # of a block that is read once
FEWEST = 2**16  # values that are kept before the first are dropped
SEARCHED = 2**18  # candidates of one search
PRODUCT = 2**21


def rounding(channels: int) -> float:
    """Largest error of a cosine in float32, whatever the order of the sums: more than (1.5 C + 6) 2^-24."""
    return (channels + 8) * 2.0**-23


class Labelled:
    """The labelled points as phi (Eq. 10) needs them: the sum of their unit vectors for the mean, all of them
    for the nearest.
    """

    def __init__(
        self, kind: Similarity, backend: Index = "faiss", gpu: bool = False, threads: int = 1
    ) -> None:
        self._kind, self._backend, self._gpu, self._threads = kind, backend, gpu, threads
        self._sum: NDArray[np.float64] | None = None
        self._count = 0
        self._points: list[Array] = []
        self._index: _Nearest | None = None

    def add(self, points: Array) -> None:
        """Take labelled points [M, C] along.

        Raises:
            DataError: they have another number of channels than those before, or one is not finite.
        """
        if len(points) == 0:
            return
        total = unit_vectors(points).sum(axis=0)
        if not np.isfinite(total.sum()):
            raise DataError("RDS: a feature of a labelled point is not finite; check the features")
        if self._sum is not None:
            same_channels(self._sum[None], points)
        self._sum, self._count = total if self._sum is None else self._sum + total, self._count + len(points)
        if self._kind == "nearest":
            self._points.append(points)
            self._index = None

    def similarity(self, features: Array) -> NDArray[np.float64]:
        """Phi [N] of candidates [N, C]; see the function `similarity`."""
        if self._count == 0:
            return np.zeros(len(features))
        mean = self.mean
        same_channels(features, mean[None])
        if self._kind == "nearest":
            return self.nearest.exact(features)
        parts = over_blocks(
            lambda a, b: cosines(dimensions_of(unit_vectors(features[a:b])), mean),
            len(features),
            ROWS,
            self._threads,
        )
        return np.concatenate([np.empty(0), *parts])

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of the unit vectors [C]."""
        assert self._sum is not None
        return self._sum / self._count

    @property
    def nearest(self) -> "_Nearest":
        """All points, to be searched; made at the first search."""
        if self._index is None:
            self._points = [np.concatenate(self._points)]  # the pieces go
            self._index = _Nearest(self._points[0], self._backend, self._gpu, self._threads)
        return self._index


def similarity(
    features: Array,
    labelled: Array,
    kind: Similarity,
    backend: Index = "faiss",
    gpu: bool = False,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Similarity phi of every candidate to the labelled points: the mean of the cosines (Eq. 10), or the
    cosine to the nearest.

    The mean has a closed form that is faster than a search; `backend` and `gpu` matter to `nearest`.

    Args:
        features: [N, C] of the candidates; a zero vector is at cosine 0 of everything.
        labelled: [M, C] of the labelled points; phi is 0 when there are none.
        kind: mean or nearest.
        backend: what searches the labelled points.
        gpu: let faiss search on the GPU where it finds one.
        threads: blocks at a time.

    Returns:
        phi [N] in [-1, 1], equal to `rds.mean_similarity` or `rds.nearest_similarity`.

    Raises:
        ConfigError: faiss is not installed.
        DataError: the two have a different number of channels.
    """
    points = Labelled(kind, backend, gpu, threads)
    points.add(labelled)
    return points.similarity(features)


def least_similar(
    features: Matrix,
    labelled: Array,
    k: int,
    kind: Similarity,
    backend: Index = "faiss",
    gpu: bool = False,
    threads: int = 1,
) -> Indices:
    """The k unit vectors least like the labelled points: the first k of `similarity` in ascending order,
    equal ones as they stand.

    For whom wants few of millions of candidates; a query ranks the whole of its cover, by
    `Labelled.similarity`. For the mean it reads the candidates once, as an inner-product search with the
    negated mean would, and holds a few times k.

    Args:
        features: [N, C] of the candidates: unit vectors rounded to float32, or zeros, which are at cosine 0
            of everything.
        labelled: [M, C] of the labelled points, of any length.
        k: number of candidates; all N when there are fewer.
        kind: mean or nearest.
        backend: what searches.
        gpu: let faiss search on the GPU where it finds one.
        threads: blocks at a time.

    Raises:
        ConfigError: faiss is not installed.
        DataError: the two have a different number of channels, a feature is not finite, or one that is found
            is no unit vector.
    """
    same_channels(features, labelled)
    k = min(k, len(features))
    if len(labelled) == 0 or k == 0:
        return np.arange(k)
    points, least = Labelled(kind, backend, gpu, threads), Least(k, 2 * rounding(features.shape[1]))
    points.add(labelled)
    if kind == "mean":
        _add_means(
            least,
            np.ascontiguousarray(features, np.float32),
            points.mean.astype(np.float32),
            backend,
            threads,
        )
    else:
        least.add(0, points.nearest.float32(features))
    rows = least.rows()
    lengths = np.sqrt(np.vecdot(features[rows], features[rows]))
    if np.any((lengths > 0) & (np.abs(lengths - 1) > rounding(features.shape[1]))):
        raise DataError("RDS: a candidate is no unit vector; divide the features by their lengths")
    phi = points.similarity(features[rows])
    return rows[np.argsort(phi, kind="stable")[:k]]


class Least:
    """The k least of many values that come block by block, and all within `slack` of the k-th.

    Blocks may come from several threads in any order: what is dropped is beyond the k-th of the values seen,
    so of all.
    """

    def __init__(self, k: int, slack: float) -> None:
        self._k, self._slack, self._lock = k, slack, Lock()
        self._bound, self._room = np.float32(np.inf), max(FEWEST, 2 * k)
        self._kept: list[tuple[Indices, Matrix]] = []
        self._count = 0

    def add(self, first: int, values: Matrix) -> None:
        """Take the values of the candidates from `first` on.

        Raises:
            DataError: one is not finite.
        """
        if not np.isfinite(values.sum()):
            raise DataError("RDS: a feature is not finite; check the features")
        inside = np.flatnonzero(values <= self._bound)
        with self._lock:
            self._kept.append((first + inside, values[inside]))
            self._count += len(inside)
            if self._count > self._room:
                self._drop()
                self._room = max(
                    self._room, 2 * self._count
                )  # where many are equal: each is looked at a few times, not at every block

    def rows(self) -> Indices:
        """Candidates up to the k-th value and `slack` beyond, ascending."""
        self._drop()
        return np.sort(self._kept[0][0])

    def _drop(self) -> None:
        rows, values = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        self._bound = np.partition(values, self._k - 1)[self._k - 1] + np.float32(self._slack)
        inside = values <= self._bound
        self._kept = [(rows[inside], values[inside])]
        self._count = int(np.count_nonzero(inside))


def _add_means(least: Least, features: Matrix, mean: Matrix, backend: Index, threads: int) -> None:
    """Mean cosines of unit vectors within `rounding`: one product each."""
    products = row_products(backend)

    def add(first: int, last: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # an error says it
            least.add(first, products(features[first:last], mean))

    over_blocks(add, len(features), READ_ROWS, threads)


class _Nearest:
    """The labelled points as an index for the largest cosine."""

    def __init__(self, labelled: Array, backend: Index, gpu: bool, threads: int) -> None:
        self._unit = unit_vectors(labelled)
        self._short = self._unit.astype(np.float32)
        self._slack, self._threads = rounding(labelled.shape[1]), threads
        self._faiss = load_faiss() if backend == "faiss" else None
        self._gpu = (
            self._faiss.StandardGpuResources()
            if self._faiss and gpu and self._faiss.get_num_gpus() > 0
            else None
        )

    def float32(self, features: Array) -> Matrix:
        """Largest cosine of every candidate within `rounding`."""
        parts = [
            self._search(unit_vectors(features[i : i + SEARCHED]).astype(np.float32))[0][:, 0]
            for i in range(0, len(features), SEARCHED)
        ]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def exact(self, features: Array) -> NDArray[np.float64]:
        """Largest cosine of every candidate in the fixed form: that of the point found, or of all that may be
        nearest.
        """
        return np.concatenate(
            [
                np.empty(0),
                *(
                    self._exact(unit_vectors(features[i : i + SEARCHED]))
                    for i in range(0, len(features), SEARCHED)
                ),
            ]
        )

    def _exact(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        values, places = self._search(points.astype(np.float32))
        phi = cosines(dimensions_of(points), dimensions_of(self._unit[places]))
        rows = np.flatnonzero(values[:, 0] - values[:, 1] <= 2 * self._slack)
        step = max(1, PRODUCT // len(self._unit))
        parts = over_blocks(lambda a, b: self._all(points[rows[a:b]]), len(rows), step, self._threads)
        phi[rows] = np.concatenate([np.empty(0), *parts])
        return phi

    def _all(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        product = points.astype(np.float32) @ self._short.T
        row, place = np.nonzero(product >= product.max(axis=1, keepdims=True) - 2 * self._slack)
        phi = np.full(len(points), -np.inf)
        np.maximum.at(phi, row, cosines(dimensions_of(points[row]), dimensions_of(self._unit[place])))
        return phi

    def _search(self, points: Matrix) -> tuple[Matrix, Indices]:
        """The two largest cosines of each candidate (-inf where there is one point), and the point of the
        first.
        """
        if self._faiss:
            search = partial(self._faiss.knn_gpu, self._gpu) if self._gpu else self._faiss.knn
            values, places = search(
                points, self._short, min(2, len(self._short)), metric=self._faiss.METRIC_INNER_PRODUCT
            )
            again = np.vecdot(points, self._short[places[:, 0]])
            if (
                np.abs(again - values[:, 0]).max(initial=0) <= 2 * self._slack
            ):  # else it rounds more than float32 does: not trusted
                return np.column_stack([values, np.full(len(points), -np.inf, np.float32)])[:, :2], places[
                    :, 0
                ]
        step = max(1, PRODUCT // len(self._short))
        parts = over_blocks(
            lambda a, b: _two_largest(points[a:b] @ self._short.T), len(points), step, self._threads
        )
        values, places = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(places)


def _two_largest(product: Matrix) -> tuple[Matrix, Indices]:
    rows, first = np.arange(len(product)), product.argmax(axis=1)
    largest = product[rows, first]
    product[rows, first] = -np.inf
    return np.column_stack([largest, product.max(axis=1)]), first
