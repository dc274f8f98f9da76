"""CSET: core-set, a greedy cover of the pixels in feature space (Sener and Savarese, 2018)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atal_ray.acquisition.cover.farthest import farthest
from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.fitted import LabelledBatch, RoundData
from atal_ray.acquisition.grid import grid_position, under_centres
from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.pick import Indices, Pick, PixelPool, concat_picks, pick_cells, pick_random
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config.bounds import Count
from atal_ray.config.section import Section
from atal_ray.networks.protocol import SaliencyNetwork

STRIDE = 4
"""Least distance of candidates, where a network's features are finer."""

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CoreSetConfig(Section):
    """What the strategy `core-set` begins with."""

    path = "query.core-set"

    centres: Count = 1000
    """Labelled pixels of all images that every image's cover begins with, besides its own."""


class Cset(Method):
    """The pixels that are farthest from all labelled ones in feature space.

    The greedy form of the original, which solves an integer program over all candidates at once; here each
    image is covered for itself, and its cover begins with a sample of the labelled pixels of the others.
    Features are not normalised, as there. One pass for an image, and one for each image of the sample.
    """

    strategy = "core-set"


class CoreSet(Strategy):
    """Greedy k-center of Euclidean distances between decoder features, x* = argmax min |f(x) - f(c)|.

    Candidates are the middles of the cells of the feature map that are free, at stride 4 where it is finer;
    where there are too few, random pixels follow.
    """

    Settings = CoreSetConfig
    features = True
    scored = False
    fits = True

    def fit(self, data: RoundData) -> dict[str, Tensor]:
        """Features of labelled pixels [centres, C], of as many random images as are needed at most."""
        rng = np.random.default_rng(data.seed)
        numbers = np.sort(rng.permutation(data.images)[: self.settings.centres])
        network = data.networks[-1]
        found = [labelled_features(network, batch) for batch in data.batches(numbers.tolist())]
        vectors = np.concatenate([np.empty((0, network.feature_channels), np.float32), *found])
        kept = np.sort(rng.permutation(len(vectors))[: self.settings.centres])
        return {"centres": torch.from_numpy(vectors[kept])}

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        """K free pixels, the farthest first; equally far ones in random order."""
        size, grid = len(pool.free), pool.grid
        middles = np.zeros_like(pool.free)
        sides = (min(length, -(-size // STRIDE)) for length in seen.features.shape[1:])
        middles[np.ix_(*(under_centres(side, size) for side in sides))] = True
        free = rng.permutation(np.flatnonzero(grid.kept(pool.free & middles)))
        rows, columns = np.divmod(free, len(grid.cell_columns))
        cells = np.stack([grid.cell_columns[columns], grid.cell_rows[rows]], axis=1).astype(np.float64)
        own = grid_position(pool.labelled, size, pool.height, pool.width)
        centres = [sample_bilinear(seen.features, own, size), self.state["centres"].numpy()]
        chosen = farthest_first(sample_bilinear(seen.features, cells, size), np.concatenate(centres), k)
        pick = pick_cells(grid, free[chosen])
        if len(chosen) == k:
            return pick
        others = np.ones_like(pool.free)
        others[pick.cells] = False
        return concat_picks([pick, pick_random(pool.of(others), k - len(chosen), rng)])


def farthest_first(vectors: Vectors, centres: Vectors, k: int) -> Indices:
    """Up to k of N vectors [N, C], each the farthest from the centres [M, C] and those before it."""
    nearest = np.full(len(vectors), np.inf)
    for start in range(0, len(centres), 256):
        nearest = np.minimum(nearest, _squares(vectors, centres[start : start + 256]).min(1))
    chosen = farthest(nearest, lambda number: _squares(vectors, vectors[number][None])[:, 0], k)
    return np.array(chosen, np.int64)


def _squares(a: Vectors, b: Vectors) -> npt.NDArray[np.float64]:
    """Squared distances [N, M]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    squares: npt.NDArray[np.float64] = (a * a).sum(1)[:, None] - 2 * a @ b.T + (b * b).sum(1)
    return squares.clip(0)


@torch.no_grad()
def labelled_features(network: SaliencyNetwork, batch: LabelledBatch) -> Vectors:
    """Decoder features of the labelled pixels of a batch [M, C]."""
    features = network.saliency(batch.images)[1].float().cpu().numpy()
    size = batch.images.shape[-1]
    found = [
        sample_bilinear(features[index], batch.cells[batch.of_image == index], size)
        for index in range(len(features))
    ]
    return np.concatenate([np.empty((0, features.shape[1]), np.float32), *found])
