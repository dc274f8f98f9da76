"""What clicks and their regions say of the pixels of an image, and how much each of it counts."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import FORK, POINTS, CampaignFolder
from atal_ray.campaign.finish.finish_plan import Balance, Finish
from atal_ray.config import Config
from atal_ray.config.section import require
from atal_ray.data.record import Record
from atal_ray.labels.points import UNSURE, PointIndex
from atal_ray.labels.regions import region_labels
from atal_ray.labels.sieve import PixelMap, finer_at_edges, sieved
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.labels.superpixel_method import cut
from atal_ray.store.folder import Folder
from atal_ray.store.streamed import row_groups

SURE = 0.8
"""The teacher is sure of a pixel above it, or below 1 less it."""
RING = 0.03
"""Width of an image's outer ring over its shorter side."""
Labels = NDArray[np.uint8]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class TeacherView:
    """What a teacher sees in an image.

    Args:
        saliency: [H, W] in [0, 1].
        features: decoder features of its last member [C, h, w]; empty where nobody asks for them.
    """

    saliency: Map
    features: torch.Tensor


@dataclass(frozen=True)
class Known:
    """Reads what clicks say of an image, as a finish wants it.

    Args:
        config: of the campaign.
        plan: of the finish.
        points: of the images.
        superpixels: of the campaign.
    """

    config: Config
    plan: Finish
    points: PointIndex
    superpixels: SuperpixelCache

    def of(self, record: Record, image: NDArray[np.uint8], seen: TeacherView | None) -> Labels:
        """The label of each pixel [H, W]: 0, 1, or 255 where nothing is known.

        Args:
            record: the image.
            image: its pixels.
            seen: what the teacher sees; needed by `sieve` and `agreement`.

        Raises:
            DataError: the mask cannot be read, with regions.labels oracle_mask.
        """
        regions, shape = self.config.regions, (record.height, record.width)
        superpixels = self.superpixels.get(record, image) if regions.uses_superpixels else None
        by_mask = regions.labels == "oracle_mask" and record.mask is not None
        mask = record.read_mask().astype(bool) if by_mask else None
        xy, labels = self.points.of(record.image_id)
        known = region_labels(superpixels, xy, labels, shape, regions.labels, mask)
        if self.plan.finer and superpixels is not None:
            smaller = cut(image, replace(regions, superpixels=regions.superpixels * self.plan.finer))
            known = finer_at_edges(known, superpixels, smaller, xy, labels, colours(image), by_mask=by_mask)
        if self.plan.sieve and superpixels is not None:
            assert seen is not None
            features = seen.features.permute(1, 2, 0).float().cpu().numpy()
            maps = [PixelMap(colours(image), shape), PixelMap(features, shape)]
            known = sieved(known, superpixels, xy, labels, maps, self.plan.sieve, by_mask=by_mask)
        if self.plan.agreement:
            assert seen is not None
            known = agreed(known, seen.saliency, xy, labels)
        return known

    def needs_teacher(self) -> bool:
        """Whether it asks what the teacher sees."""
        return bool(self.plan.sieve) or self.plan.agreement

    def at_clicks(self, record: Record, known: Labels) -> Labels:
        """The labels where a click counts as a square that the network's smaller image cannot lose; for
        clicks that label no region.
        """
        if self.config.regions.uses_superpixels:
            return known
        reach = math.ceil(max(known.shape) / min(self.plan.train.scales) / 2)
        found = known.copy()
        xy, labels = self.points.of(record.image_id)
        for (x, y), label in zip(xy, labels, strict=True):
            if label != UNSURE:
                found[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = label
        found[xy[:, 1], xy[:, 0]] = labels
        return found


def colours(image: NDArray[np.uint8]) -> Map:
    """The image in CIE Lab, float32 [H, W, 3]."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)


def agreed(known: Labels, saliency: Map, xy: NDArray[np.integer], labels: Labels) -> Labels:
    """The known labels without those whose opposite the teacher is sure of; clicks keep their own pixel.

    Args:
        known: [H, W], 255 where nothing is known.
        saliency: of the teacher [H, W].
        xy: column and row of the points [N, 2].
        labels: their labels [N].
    """
    against = ((known == 1) & (saliency < 1 - SURE)) | ((known == 0) & (saliency > SURE))
    found = np.where(against, UNSURE, known).astype(np.uint8)
    found[xy[:, 1], xy[:, 0]] = labels
    return found


def confidence_of(
    known: Labels, weights: tuple[float, float], border: float, saliency: Map | None
) -> tuple[Labels, Map]:
    """Labels [H, W] with those of the outer ring, and the confidence of each [H, W] in [0, 1].

    Args:
        known: [H, W], 255 where nothing is known.
        weights: of background and of salient labels.
        border: weight of the ring's unknown pixels as background; they stay unknown with 0.
        saliency: of a teacher [H, W], whose probability of a label is a factor too; none without.
    """
    confidence = np.where(known == 1, weights[1], weights[0]).astype(np.float32)
    if saliency is not None:
        confidence *= np.where(known == 1, saliency, 1 - saliency)
    if not border:
        return known, confidence
    reach = math.ceil(RING * min(known.shape))
    ring = np.ones(known.shape, bool)
    ring[reach:-reach, reach:-reach] = False
    ring &= known == UNSURE
    return np.where(ring, 0, known).astype(np.uint8), np.where(ring, np.float32(border), confidence)


def class_weights(
    balance: Balance, labelled: CampaignFolder, config: Config, final: Folder
) -> tuple[float, float]:
    """Weights of background and of salient clicks, of which the larger is 1.

    With s the share of all clicks that are salient and t the wanted share, 1/2 for `equal`, or for `area`
    that of the points of round 0, which were drawn at random:

        w_1 : w_0 = t / s : (1 - t) / (1 - s)

    Args:
        balance: which share is wanted.
        labelled: the campaign.
        config: of it.
        final: the folder with all points.

    Raises:
        ConfigError: `area` where the points of round 0 do not tell it.
    """
    if balance == "none":
        return 1.0, 1.0
    share = salient_share(final)
    wanted = 0.5
    if balance == "area":
        require(
            config.data.points is None
            and config.budget.start_strategy == "uniform"
            and not labelled.root.exists(FORK),
            "clicks.balance area needs a campaign that began with random points: choose clicks.balance equal",
        )
        wanted = salient_share(labelled.round(0))
    require(
        0 < share < 1 and 0 < wanted < 1,
        f"clicks.balance {balance} needs clicks on the object and beside it: {share:.0%} of them are salient",
    )
    salient, background = wanted / share, (1 - wanted) / (1 - share)
    most = max(salient, background)
    return background / most, salient / most


def salient_share(folder: Folder) -> float:
    """The share of the points with a label that are salient; 0 without such points."""
    counts = [0, 0]
    for table in row_groups(folder, POINTS):
        labels = table["label"].to_numpy()
        for label in (0, 1):
            counts[label] += int((labels == label).sum())
    return counts[1] / max(1, sum(counts))
