"""Similarity phi (Eq. 10) of millions of candidates to the labelled points.

The values are those of `rds.mean_similarity` and `rds.nearest_similarity`, bit for bit, with either back end,
on a GPU or not, and with any number of threads. Where labelled points are added in several calls, the last
bits of the mean depend on how they are divided.
"""

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.blocks import over_blocks
from atal_ray.acquisition.cover.distances import Array, dimensions_of
from atal_ray.acquisition.dataset_budget.nearest import NearestLabelled
from atal_ray.acquisition.rds import cosines, same_channels, unit_vectors
from atal_ray.config.query import Similarity
from atal_ray.config.resources import Index
from atal_ray.errors import DataError

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]

ROWS = 4096  # candidates of a block


class LabelledFeatures:
    """Features of the labelled points, as phi (Eq. 10) needs them.

    For the mean cosine the sum of their unit vectors is kept, for the nearest point all of them.
    """

    def __init__(
        self, kind: Similarity, backend: Index = "faiss", gpu: bool = False, threads: int = 1
    ) -> None:
        self._kind, self._backend, self._gpu, self._threads = kind, backend, gpu, threads
        self._sum: NDArray[np.float64] | None = None
        self._count = 0
        self._points: list[Array] = []
        self._index: NearestLabelled | None = None

    def add(self, points: Array) -> None:
        """Add labelled points [M, C].

        Raises:
            DataError: they have another number of channels than those before, or one is not finite.
        """
        if len(points) == 0:
            return
        self.add_sum(sum_of_units(points), len(points))
        if self._kind == "nearest":
            self._points.append(points)
            self._index = None

    def add_sum(self, total: NDArray[np.float64], count: int) -> None:
        """Add labelled points by the sum of their unit vectors [C], which is enough for the mean cosine.

        Raises:
            DataError: as for `add`.
        """
        if self._sum is not None:
            same_channels(self._sum[None], total[None])
        self._sum = total if self._sum is None else self._sum + total
        self._count += count

    def similarity(self, features: Array) -> NDArray[np.float64]:
        """Phi [N] of candidates [N, C], 0 where nothing is labelled; see the function `similarity`.

        Raises:
            DataError: the candidates have another number of channels than the labelled points.
        """
        if self._count == 0:
            return np.zeros(len(features))
        mean = self.mean
        same_channels(features, mean[None])
        if self._kind == "nearest":
            return self.nearest.exact(features)

        def of_block(first: int, last: int) -> NDArray[np.float64]:
            return cosines(dimensions_of(unit_vectors(features[first:last])), mean)

        parts = over_blocks(of_block, len(features), ROWS, self._threads)
        return np.concatenate([np.empty(0), *parts])

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of the unit vectors [C]; at least one point must have been added."""
        assert self._sum is not None
        return self._sum / self._count

    @property
    def nearest(self) -> NearestLabelled:
        """An index of all points, built when it is first used after points were added."""
        if self._index is None:
            self._points = [np.concatenate(self._points)]  # frees the single arrays
            self._index = NearestLabelled(self._points[0], self._backend, self._gpu, self._threads)
        return self._index


def sum_of_units(points: Array) -> NDArray[np.float64]:
    """The sum [C] of the unit vectors of labelled points [M, C].

    Raises:
        DataError: one is not finite.
    """
    total: NDArray[np.float64] = unit_vectors(points).sum(axis=0)
    if not np.isfinite(total.sum()):
        raise DataError("RDS: a feature of a labelled point is not finite; check the features")
    return total


def similarity(
    features: Array,
    labelled: Array,
    kind: Similarity,
    backend: Index = "faiss",
    gpu: bool = False,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Similarity phi of every candidate to the labelled points: the mean cosine (Eq. 10), or the largest.

    The mean cosine is one product with the mean of the labelled unit vectors; only the largest is searched
    for, so only there `backend` and `gpu` matter.

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
    points = LabelledFeatures(kind, backend, gpu, threads)
    points.add(labelled)
    return points.similarity(features)
