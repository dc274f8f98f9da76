"""Eq. 10 over millions of candidates: a float32 search, and float64 in a fixed order for whatever its rounding leaves open.

The values are those of `rds.mean_similarity` and `rds.nearest_similarity`, bit for bit, with either back end, on a GPU or not, and
with any number of threads.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import ConfigError, DataError
from atal_ray.sampling.blocks import over_blocks
from atal_ray.sampling.distances import Array, dimensions_of
from atal_ray.sampling.rds import Similarity, cosines, mean_similarity, same_channels, unit_vectors

Backend = Literal["faiss", "numpy"]
Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

ROWS = 4096  # of a block: its second reading finds it in the cache
UNIT_ROWS = 32768  # of a block that is read once
SEARCHED = 2**18  # candidates of one search
PRODUCT = 2**21
GROUP = 64
SHORT = 1e-12  # a vector of less length is measured in float64: its float32 squares vanish


def rounding(channels: int) -> float:
    """Largest error of a cosine in float32, whatever the order of the sums: (1.5 C + 6) 2^-24 for raw vectors."""
    return (channels + 8) * 2.0**-23


def similarity(
    features: Array, labelled: Array, kind: Similarity, backend: Backend = "faiss", gpu: bool = False, threads: int = 1
) -> NDArray[np.float64]:
    """Similarity phi of every candidate to the labelled points: the mean of the cosines (Eq. 10), or the cosine to the nearest.

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
    same_channels(features, labelled)
    if len(labelled) == 0:
        return np.zeros(len(features))
    if kind == "nearest":
        return _Nearest(labelled, backend, gpu, threads).exact(features)
    mean = unit_vectors(labelled).sum(axis=0) / len(labelled)
    parts = over_blocks(lambda a, b: cosines(dimensions_of(unit_vectors(features[a:b])), mean), len(features), ROWS, threads)
    return np.concatenate([np.empty(0), *parts])


def least_similar(
    features: Matrix,
    labelled: Array,
    k: int,
    kind: Similarity,
    backend: Backend = "faiss",
    gpu: bool = False,
    threads: int = 1,
    unit: bool = False,
) -> Indices:
    """The k candidates least like the labelled points: the first k of `similarity` in ascending order, equal ones as they stand.

    For the mean it reads the candidates once, as an inner-product search with the negated mean would, and holds 4 bytes for each.

    Args:
        features: [N, C] float32 of the candidates; a zero vector is at cosine 0 of everything.
        labelled: [M, C] of the labelled points.
        k: number of candidates; all N when there are fewer.
        kind: mean or nearest.
        backend: what searches.
        gpu: let faiss search on the GPU where it finds one.
        threads: blocks at a time.
        unit: every candidate is a unit vector rounded to float32, or zero: the mean then needs no lengths.

    Raises:
        ConfigError: faiss is not installed.
        DataError: the two have a different number of channels, or a feature is not finite or too large for its square.
    """
    same_channels(features, labelled)
    k = min(k, len(features))
    if len(labelled) == 0 or k == 0:
        return np.arange(k)
    if kind == "mean":
        found = _mean_float32(features, labelled, backend, threads, unit)
    else:
        found = _Nearest(labelled, backend, gpu, threads).float32(features)
    open_rows = at_most_kth(found, k, 2 * rounding(features.shape[1]))
    phi = similarity(features[open_rows], labelled, kind, backend, gpu, threads)
    return open_rows[np.argsort(phi, kind="stable")[:k]]


def at_most_kth(values: Matrix, k: int, slack: float) -> Indices:
    """Ascending indices of the values up to the k-th smallest and `slack` beyond; the least of each group spares sorting them all."""
    groups = len(values) // GROUP
    if groups < k:
        return np.flatnonzero(values <= np.partition(values, k - 1)[k - 1] + slack)
    whole = groups * GROUP
    least = values[:whole].reshape(GROUP, groups).min(axis=0)

    def members(bound: float) -> Indices:
        inside = np.flatnonzero(least <= bound) + np.arange(0, whole, groups)[:, None]
        rows = np.concatenate([inside.ravel(), np.arange(whole, len(values))])
        found: Indices = rows[values[rows] <= bound]
        return found

    few = values[members(float(np.partition(least, k - 1)[k - 1]))]
    return np.sort(members(float(np.partition(few, k - 1)[k - 1]) + slack))


def _mean_float32(features: Matrix, labelled: Array, backend: Backend, threads: int, unit: bool = False) -> Matrix:
    """Mean cosine within `rounding`: one product of a block, and its lengths while it is in the cache."""
    mean = (unit_vectors(labelled).sum(axis=0) / len(labelled)).astype(np.float32)
    features = np.ascontiguousarray(features, np.float32)
    phi, lengths_and_products = np.empty(len(features), np.float32), _two_products(mean, backend)

    def products(first: int, last: int) -> bool:
        product = phi[first:last]
        with np.errstate(over="ignore", invalid="ignore"):  # said below as an error
            np.matmul(features[first:last], mean, out=product)
            return bool(np.isfinite(product.sum()))

    def cosines_of(first: int, last: int) -> bool:
        block, product = features[first:last], phi[first:last]
        length = lengths_and_products(block, product)
        if length.min() < SHORT:
            short = length < SHORT
            product[short], length[short] = mean_similarity(block[short], labelled), 1
        product /= length
        return bool(np.isfinite(length.max()))

    if not all(over_blocks(products if unit else cosines_of, len(features), UNIT_ROWS if unit else ROWS, threads)):
        raise DataError("RDS: a feature is not finite, or too large for its square; check the features")
    return phi


def _two_products(mean: Matrix, backend: Backend) -> Callable[[Matrix, Matrix], Matrix]:
    """What writes the products of a block with the mean, and returns the lengths of its rows."""
    if backend == "faiss":
        faiss = load_faiss()
        at, channels = faiss.swig_ptr, len(mean)

        def by_faiss(block: Matrix, product: Matrix) -> Matrix:
            length = np.empty(len(block), np.float32)
            faiss.fvec_inner_products_ny(at(product), at(mean), at(block), channels, len(block))
            faiss.fvec_norms_L2(at(length), at(block), channels, len(block))
            return length

        return by_faiss
    ones = np.ones_like(mean)

    def by_numpy(block: Matrix, product: Matrix) -> Matrix:
        with np.errstate(over="ignore", invalid="ignore"):  # the caller says it
            np.matmul(block, mean, out=product)
            length: Matrix = np.sqrt(np.square(block) @ ones)
        return length

    return by_numpy


class _Nearest:
    """The labelled points as an index for the largest cosine."""

    def __init__(self, labelled: Array, backend: Backend, gpu: bool, threads: int) -> None:
        self._unit = unit_vectors(labelled)
        self._short = self._unit.astype(np.float32)
        self._slack, self._threads = rounding(labelled.shape[1]), threads
        self._faiss = load_faiss() if backend == "faiss" else None
        self._gpu = self._faiss.StandardGpuResources() if self._faiss and gpu and self._faiss.get_num_gpus() > 0 else None

    def float32(self, features: Array) -> Matrix:
        """Largest cosine of every candidate within `rounding`."""
        parts = [
            self._search(unit_vectors(features[i : i + SEARCHED]).astype(np.float32))[0][:, 0] for i in range(0, len(features), SEARCHED)
        ]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def exact(self, features: Array) -> NDArray[np.float64]:
        """Largest cosine of every candidate in the fixed form: that of the point found, or of all that may be nearest."""
        return np.concatenate(
            [np.empty(0), *(self._exact(unit_vectors(features[i : i + SEARCHED])) for i in range(0, len(features), SEARCHED))]
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
        """The two largest cosines of each candidate (-inf where there is one point), and the point of the first."""
        if self._faiss:
            search = partial(self._faiss.knn_gpu, self._gpu) if self._gpu else self._faiss.knn
            values, places = search(points, self._short, min(2, len(self._short)), metric=self._faiss.METRIC_INNER_PRODUCT)
            again = np.vecdot(points, self._short[places[:, 0]])
            if np.abs(again - values[:, 0]).max(initial=0) <= 2 * self._slack:  # else it rounds more than float32 does: not trusted
                return np.column_stack([values, np.full(len(points), -np.inf, np.float32)])[:, :2], places[:, 0]
        step = max(1, PRODUCT // len(self._short))
        parts = over_blocks(lambda a, b: _two_largest(points[a:b] @ self._short.T), len(points), step, self._threads)
        values, places = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(places)


def _two_largest(product: Matrix) -> tuple[Matrix, Indices]:
    rows, first = np.arange(len(product)), product.argmax(axis=1)
    largest = product[rows, first]
    product[rows, first] = -np.inf
    return np.column_stack([largest, product.max(axis=1)]), first


def load_faiss() -> ModuleType:
    """The module faiss.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "resources.index is faiss, which is not installed: install atal-ray[cpu] or atal-ray[gpu], or set resources.index to numpy"
        ) from error
    module: ModuleType = faiss
    return module
