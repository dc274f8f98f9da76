"""A user's file: a score, a strategy, a method with a module, superpixels and a metric, as module:Class."""

import cv2
import numpy as np
from torch import nn

from atal_ray.acquisition.features import sample_bilinear
from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.pick import pick_cells
from atal_ray.acquisition.scores.pixel_score import PixelScore
from atal_ray.acquisition.strategies.strategy import Strategy
from atal_ray.acquisition.uncertainty import entropy
from atal_ray.labels.superpixel_method import SuperpixelMethod
from atal_ray.metrics.image_metric import ImageMetric
from atal_ray.networks.beside import Beside


class Bald(PixelScore):  # mutual information of the members
    members = True

    def __call__(self, seen):
        return entropy(seen.members.mean(0)) - entropy(seen.members).mean(0)


class Badge(Strategy):  # k-means++ on the gradient of the head's weights, (p - y') h
    features, scored = True, False

    def __call__(self, pool, seen, k, rng):
        grid, columns = pool.grid, len(pool.grid.cell_columns)
        free = np.flatnonzero(grid.kept(pool.free))
        cells = np.stack([grid.cell_columns[free % columns], grid.cell_rows[free // columns]], 1)
        p = grid.kept(seen.clean).ravel()[free]
        gradients = (p - (p > 0.5))[:, None] * sample_bilinear(seen.features, cells, len(pool.free))
        squares, chosen = (gradients**2).sum(1), []
        for _ in range(min(k, len(free))):
            chosen.append(rng.choice(len(free), p=(squares + 1e-12) / (squares + 1e-12).sum()))
            squares = np.minimum(squares, ((gradients - gradients[chosen[-1]]) ** 2).sum(1))
        return pick_cells(pool.grid, free[chosen])


class Depth(Beside):  # trained to say how far a pixel's loss is from 0
    def __init__(self, channels, settings=None):
        super().__init__(channels, settings)
        self.layer = nn.Conv2d(channels[0], 1, 1)

    def forward(self, levels, x):
        return self.layer(levels[0])

    def loss(self, maps, logits, targets):
        return (maps - logits.detach().sigmoid().mean()).square().mean()


class FromDepth(PixelScore):
    beside = Depth

    def __call__(self, seen):
        return cv2.resize(abs(seen.beside[0]), seen.clean.shape)


class Deep(Method):
    score = "outside_plugins:FromDepth"


class Slic(SuperpixelMethod):
    def __call__(self, image):
        side = max(2, round((image[..., 0].size / self.regions.superpixels) ** 0.5))
        slic = cv2.ximgproc.createSuperpixelSLIC(image, cv2.ximgproc.SLIC, region_size=side)
        slic.iterate(5)
        return slic.getLabels()


class Dice(ImageMetric):
    def __call__(self, saliency, mask):
        found = saliency > 127
        return 2 * (found & mask).sum() / max(1, found.sum() + mask.sum())
