"""Plug-ins that live outside the package, as a user's do: `own_plugins:LeastConfident`."""

from dataclasses import dataclass

import cv2
import numpy as np

from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.pick import Pick, PixelPool, pick_uncertain
from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.config.bounds import Count
from atal_ray.config.section import Section
from atal_ray.labels.superpixel_method import SuperpixelMethod


class Disagreement(PixelScore):
    """Standard deviation of the members' maps."""

    members = True

    def __call__(self, seen: Seen) -> Map:
        deviation: Map = seen.members.std(0)
        return deviation


class Doubtful(Disagreement):
    """The same on attacked images too."""

    attacked = True


@dataclass(frozen=True, kw_only=True)
class FarApartConfig(Section):
    """How far apart points lie."""

    path = "query.far-apart"

    cells: Count = 4
    """Least distance of two points in cells of the grid, along an axis."""


class FarApart(Strategy):
    """The most uncertain pixels, none too near to another."""

    Settings = FarApartConfig

    def __call__(self, pool: PixelPool, seen: Seen, k: int, rng: np.random.Generator) -> Pick:
        order = pick_uncertain(pool, seen.score, seen.score.size, rng)
        cells = np.stack(order.cells, 1)
        chosen: list[int] = []
        for number, cell in enumerate(cells):
            if len(chosen) < k and (abs(cells[chosen] - cell).max(1) >= self.settings.cells).all():
                chosen.append(number)
        return Pick((order.cells[0][chosen], order.cells[1][chosen]), order.xy[chosen])


@dataclass(frozen=True, kw_only=True)
class SlicConfig(Section):
    """Settings of SLIC."""

    path = "regions.slic"

    compactness: float = 10.0
    """How square superpixels are."""


class Slic(SuperpixelMethod):
    """SLIC of OpenCV."""

    Settings = SlicConfig

    def __call__(self, image: np.ndarray) -> np.ndarray:
        side = max(2, round((image.shape[0] * image.shape[1] / self.regions.superpixels) ** 0.5))
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        slic = cv2.ximgproc.createSuperpixelSLIC(
            lab, cv2.ximgproc.SLIC, region_size=side, ruler=self.settings.compactness
        )
        slic.iterate(5)
        return np.asarray(slic.getLabels())


class Spread(Method):
    """Disagreement of all snapshots, taken far apart."""

    members = "trajectory"
    score = "own_plugins:Disagreement"
    strategy = "own_plugins:FarApart"
