"""The labelled point nearest to each of millions of candidates, by cosine."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.blocks import over_blocks
from atal_ray.acquisition.cover.distances import Array, dimensions_of
from atal_ray.acquisition.cover.products import load_faiss
from atal_ray.acquisition.rds import cosines, unit_vectors
from atal_ray.config.resources import Index

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

SEARCHED = 2**18  # candidates of one search
PRODUCT = 2**21  # values of one matrix product


def cosine_error(channels: int) -> float:
    """Upper bound of the error of a cosine in float32, whatever the order of the sums.

    (C + 8) 2^-23, which is more than the (1.5 C + 6) 2^-24 that rounding can add up to.

    Args:
        channels: C.
    """
    return (channels + 8) * 2.0**-23


class NearestLabelled:
    """The labelled points as an index for the largest cosine."""

    def __init__(self, labelled: Array, backend: Index, gpu: bool, threads: int) -> None:
        """Normalise the labelled points [M, C]; `gpu` lets faiss search on a GPU where it finds one."""
        self._unit = unit_vectors(labelled)
        self._short = self._unit.astype(np.float32)
        self._error, self._threads = cosine_error(labelled.shape[1]), threads
        self._faiss = load_faiss() if backend == "faiss" else None
        uses_gpu = self._faiss is not None and gpu and self._faiss.get_num_gpus() > 0
        self._gpu = self._faiss.StandardGpuResources() if self._faiss is not None and uses_gpu else None

    def float32(self, features: Array) -> Matrix:
        """Largest cosine [N] of every candidate [N, C] to a labelled point, within `cosine_error`."""
        parts = [self._search(unit.astype(np.float32))[0][:, 0] for unit in self._parts(features)]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def exact(self, features: Array) -> NDArray[np.float64]:
        """Largest cosine [N] of every candidate [N, C] to a labelled point, as `rds.nearest_similarity`.

        The point that the search found is measured again in float64; where the second is so close that the
        float32 error may hide the order, all points that may be the nearest are.
        """
        return np.concatenate([np.empty(0), *(self._exact(unit) for unit in self._parts(features))])

    def _parts(self, features: Array) -> Iterator[NDArray[np.float64]]:
        """Unit vectors of the candidates, a search at a time."""
        return (unit_vectors(features[i : i + SEARCHED]) for i in range(0, len(features), SEARCHED))

    def _exact(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        values, found = self._search(points.astype(np.float32))
        phi = cosines(dimensions_of(points), dimensions_of(self._unit[found]))
        rows = np.flatnonzero(values[:, 0] - values[:, 1] <= 2 * self._error)
        step = max(1, PRODUCT // len(self._unit))
        parts = over_blocks(lambda a, b: self._all(points[rows[a:b]]), len(rows), step, self._threads)
        phi[rows] = np.concatenate([np.empty(0), *parts])
        return phi

    def _all(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Largest cosine in float64 over all labelled points that may be the nearest."""
        product = points.astype(np.float32) @ self._short.T
        row, other = np.nonzero(product >= product.max(axis=1, keepdims=True) - 2 * self._error)
        phi = np.full(len(points), -np.inf)
        np.maximum.at(phi, row, cosines(dimensions_of(points[row]), dimensions_of(self._unit[other])))
        return phi

    def _search(self, points: Matrix) -> tuple[Matrix, Indices]:
        """The two largest cosines of each candidate [N, 2], and the labelled point of the first [N].

        The second is -inf where there is only one labelled point.
        """
        if self._faiss:
            found = self._search_faiss(points)
            if found is not None:
                return found
        step = max(1, PRODUCT // len(self._short))
        parts = over_blocks(
            lambda a, b: _two_largest(points[a:b] @ self._short.T), len(points), step, self._threads
        )
        values, rows = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(rows)

    def _search_faiss(self, points: Matrix) -> tuple[Matrix, Indices] | None:
        """What faiss finds; None where its cosines are less precise than float32 (TF32 on a GPU)."""
        assert self._faiss is not None
        search = partial(self._faiss.knn_gpu, self._gpu) if self._gpu else self._faiss.knn
        metric, count = self._faiss.METRIC_INNER_PRODUCT, min(2, len(self._short))
        values, rows = search(points, self._short, count, metric=metric)
        again = np.vecdot(points, self._short[rows[:, 0]])
        if np.abs(again - values[:, 0]).max(initial=0) > 2 * self._error:
            return None
        nothing = np.full(len(points), -np.inf, np.float32)
        return np.column_stack([values, nothing])[:, :2], rows[:, 0]


def _two_largest(product: Matrix) -> tuple[Matrix, Indices]:
    """The two largest values of each row [N, 2] and the column of the first; `product` is overwritten."""
    rows, first = np.arange(len(product)), product.argmax(axis=1)
    largest = product[rows, first]
    product[rows, first] = -np.inf
    return np.column_stack([largest, product.max(axis=1)]), first
