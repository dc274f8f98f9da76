"""RDS (Eq. 9, Eq. 10, Algorithm 1): points that cover the candidates and differ from the labelled ones.

The cover is greedy k-center by default; Algorithm 1 as printed is `query.cover maxsum`. These are the forms
for few candidates and dimensions; `cover/` chooses the same members among many.

Sums run in float64 over one dimension after the other. A matrix product would be no faster at these sizes,
and its last bits change with the number of threads and with the rows that share a call, so that candidates
that are almost equally good would be picked differently.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.cover.distances import Array, dimensions_of, squared_euclidean
from atal_ray.acquisition.cover.kcenter import cover_kcenter_lazy
from atal_ray.acquisition.cover.maxsum import cover_maxsum_scan
from atal_ray.config.query import Cover, Similarity
from atal_ray.errors import DataError

Indices = NDArray[np.int64]

FLAT = 16  # dimensions up to which measuring every candidate is the fastest for a few thousand of them


def cover_kcenter(positions: Array, m: int, start: int = 0) -> Indices:
    """Cover set V by greedy k-center, as the text describes Eq. 9: the candidate farthest from V joins V.

    v = argmax over candidates u of min over v' in V of |u - v'|, until V has m members. The largest distance
    of a candidate to V is then at most twice the smallest that any m members reach.

    Args:
        positions: [N, D] candidates.
        m: |V|; all N candidates when there are fewer.
        start: the first member of V.

    Returns:
        Distinct indices in the order of choice; the first of equally far candidates is taken.
    """
    dimensions = dimensions_of(positions)
    nearest = np.full(len(positions), np.inf)
    chosen: list[int] = []
    pick = start
    while len(chosen) < min(m, len(positions)):
        chosen.append(pick)
        np.minimum(nearest, squared_euclidean(dimensions, dimensions[:, pick]), out=nearest)
        nearest[pick] = -1  # a duplicate of a member has distance 0 and may still be chosen
        pick = int(nearest.argmax())
    return np.array(chosen, dtype=np.int64)


def cover_maxsum(positions: Array, m: int, start: int = 0) -> Indices:
    """Cover set V by Algorithm 1 as printed: the candidate with the largest sum of distances to V joins V.

    v = argmax over candidates u of the sum over v' in V of |u - v'|, until V has m members. Members gather in
    pairs at the extremes of the candidate set, which is why `cover_kcenter` is the default.

    Args:
        positions: [N, D] candidates.
        m: |V|; all N candidates when there are fewer.
        start: the first member of V.

    Returns:
        Distinct indices in the order of choice; the first of equal sums is taken.
    """
    dimensions = dimensions_of(positions)
    total = np.zeros(len(positions))
    chosen: list[int] = []
    pick = start
    while len(chosen) < min(m, len(positions)):
        chosen.append(pick)
        total += np.sqrt(squared_euclidean(dimensions, dimensions[:, pick]))
        total[pick] = -np.inf
        pick = int(total.argmax())
    return np.array(chosen, dtype=np.int64)


def unit_vectors(features: Array) -> NDArray[np.float64]:
    """Rows of [N, C] scaled to Euclidean length 1; zero rows stay zero."""
    squares = np.zeros(len(features))
    for values in dimensions_of(features):
        squares += values * values
    lengths = np.sqrt(squares)
    return features / np.where(lengths > 0, lengths, 1)[:, None]


def mean_similarity(features: Array, labelled: Array) -> NDArray[np.float64]:
    """Mean cosine similarity phi of each candidate to the labelled points (Eq. 10): low where they differ.

    phi(u) = sum over d in D_S of cos(u, d) / |D_S|. It is computed as one dot product of the candidate's unit
    vector with the mean of the labelled unit vectors, so its cost per candidate does not depend on |D_S|.

    Args:
        features: [N, C] of the candidates; a zero vector is at cosine 0 of everything.
        labelled: [M, C] of the labelled points; phi is 0 when there are none.

    Returns:
        phi [N] in [-1, 1].

    Raises:
        DataError: the two have a different number of channels.
    """
    same_channels(features, labelled)
    if len(labelled) == 0:
        return np.zeros(len(features))
    return cosines(dimensions_of(unit_vectors(features)), unit_vectors(labelled).sum(axis=0) / len(labelled))


def nearest_similarity(features: Array, labelled: Array) -> NDArray[np.float64]:
    """Largest cosine similarity phi of each candidate to a labelled point, instead of the mean of Eq. 10.

    Args:
        features: [N, C] of the candidates; a zero vector is at cosine 0 of everything.
        labelled: [M, C] of the labelled points; phi is 0 when there are none.

    Returns:
        phi [N] in [-1, 1].

    Raises:
        DataError: the two have a different number of channels.
    """
    same_channels(features, labelled)
    if len(labelled) == 0:
        return np.zeros(len(features))
    candidates, points = (dimensions_of(unit_vectors(rows)) for rows in (features, labelled))
    phi: NDArray[np.float64] = cosines(candidates[:, :, None], points[:, None, :]).max(axis=1)
    return phi


def cosines(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dot products of unit vectors in float64, summed over one dimension after the other.

    Args:
        points: [C, ...], channels first.
        others: [C, ...], of a shape that broadcasts with `points`.

    Returns:
        The shape that the two broadcast to, without C.
    """
    total = np.zeros(np.broadcast_shapes(points.shape[1:], others.shape[1:]))
    for values, other in zip(points, others, strict=True):
        total += values * other
    return total


def same_channels(features: Array, labelled: Array) -> None:
    """Raise DataError where candidates and labelled points have a different number of channels."""
    if len(labelled) and features.shape[1] != labelled.shape[1]:
        raise DataError(
            f"RDS: candidates have {features.shape[1]} channels and labelled points {labelled.shape[1]}"
        )


FLAT_COVERS: dict[Cover, Callable[[Array, int], Indices]] = {"kcenter": cover_kcenter, "maxsum": cover_maxsum}
FAST_COVERS: dict[Cover, Callable[[Array, int], Indices]] = {
    "kcenter": cover_kcenter_lazy,
    "maxsum": cover_maxsum_scan,
}
PHI = {"mean": mean_similarity, "nearest": nearest_similarity}


def select(
    positions: Array,
    features_of: Callable[[Indices], Array],
    labelled_features: Array,
    k: int,
    m: int,
    cover: Cover,
    similarity: Similarity = "mean",
) -> Indices:
    """The next k points of an image: a cover set V (Algorithm 1), and of it the k most dissimilar (Eq. 10).

    Args:
        positions: [N, D] candidates in the space of sigma (Eq. 9), most uncertain first: V starts with the
            first one.
        features_of: vectors [n, C] of n of the candidates, given by their indices: only V's are asked for.
        labelled_features: [M, C] of the image's labelled points.
        k: number of points; all N when there are fewer.
        m: |V|, raised to k where it is less.
        cover: how V is chosen.
        similarity: phi, the mean cosine to the labelled points or the cosine to the nearest of them.

    Returns:
        Indices into the candidates, most dissimilar first, equal ones in the order of the candidates.
    """
    find_cover = (FLAT_COVERS if positions.shape[1] <= FLAT else FAST_COVERS)[cover]  # the same members
    chosen = np.sort(find_cover(positions, max(m, k)))  # the stable sort below keeps this order for equal phi
    phi = PHI[similarity](features_of(chosen), labelled_features)
    return chosen[np.argsort(phi, kind="stable")[:k]]
