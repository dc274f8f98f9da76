"""The labelled images of a round as a torch dataset.

The augmentation of an image depends on (seed, round, epoch, image) alone, not on the order of the images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from atal_ray import seeding
from atal_ray.config import Config
from atal_ray.data.record import Record, slice_rows
from atal_ray.labels.geometry import Geometry
from atal_ray.labels.points import PointIndex
from atal_ray.labels.regions import region_labels
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.labels.target import draw_target
from atal_ray.store.location import AnyLocation
from atal_ray.training.dense import dense_sample
from atal_ray.training.raw_batch import RawSample
from atal_ray.training.round_cache import Decoded, RoundCache
from atal_ray.training.schedule import batches_per_epoch


@dataclass(frozen=True)
class Draw:
    """One image of one batch: which, in which epoch, and the side of the batch."""

    index: int
    epoch: int
    size: int


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Images with the targets that their points or full masks give; indexed by `Draw`.

    What does not change between epochs is read once and kept, in memory up to `resources.cache_mib`.
    """

    def __init__(
        self,
        manifest: pa.Table,
        points: PointIndex,
        superpixels: SuperpixelCache,
        folder: AnyLocation,
        config: Config,
        round_number: int,
    ) -> None:
        self.manifest, self.points, self.superpixels, self.folder = manifest, points, superpixels, folder
        self.config, self.round_number = config, round_number
        self.cache = RoundCache(config.resources.cache_mib * 2**20)

    def __len__(self) -> int:
        return int(self.manifest.num_rows)

    def record(self, index: int) -> Record:
        """The image at a row of the manifest."""
        return slice_rows(self.manifest, index, index + 1, self.folder)[0]

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """The augmented image uint8 [3, S, S] and its target [S, S], see `square`."""
        image, target = self.square(draw)
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(target)

    def square(self, draw: Draw) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8 | np.float32]]:
        """The augmented image uint8 [S, S, 3] and its target [S, S].

        The target is a label map in uint8 (0, 1, or 255 where nothing is known), or with the losses and the
        augmentation of full supervision a mask in [0, 1] in float32.
        """
        record, recipe = self.record(draw.index), self.config.train
        decoded, random = self._decoded(draw.index, record), self._random(draw, record)
        if recipe.needs_masks:
            soft = recipe.by_confidence
            return dense_sample(decoded.image, decoded.known, recipe.augment, draw.size, random, soft)
        geometry = Geometry.random(record.height, record.width, draw.size, random)
        xy, labels = self.points.of(record.image_id)
        return geometry.image(decoded.image), draw_target(decoded.known, xy, labels, geometry)

    def raw(self, draw: Draw) -> RawSample:
        """The image and target of `square` before flip and resize, which the device does; not for recipes of
        full supervision.
        """
        record = self.record(draw.index)
        decoded, random = self._decoded(draw.index, record), self._random(draw, record)
        geometry = Geometry.random(record.height, record.width, draw.size, random)
        return RawSample.cut(decoded.image, decoded.known, *self.points.of(record.image_id), geometry)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """The pixels of an image, uint8 [H, W, 3]."""
        return self._decoded(index, self.record(index)).image

    def _random(self, draw: Draw, record: Record) -> np.random.Generator:
        return seeding.rng(self.config.seed, "augment", self.round_number, draw.epoch, record.image_id)

    def _decoded(self, index: int, record: Record) -> Decoded:
        return self.cache.get(index, lambda: self._decode(record))

    def _decode(self, record: Record) -> Decoded:
        image = record.read_image()
        if self.config.train.needs_masks:
            return Decoded(image, record.read_soft_mask())
        mode = self.config.regions.labels
        superpixels = self.superpixels.get(record, image) if self.config.regions.uses_superpixels else None
        uses_mask = mode in ("oracle_mask", "dense")
        mask = record.read_mask().astype(bool) if uses_mask and record.mask else None
        shape = record.height, record.width
        return Decoded(image, region_labels(superpixels, *self.points.of(record.image_id), shape, mode, mask))


def batches(
    images: int, config: Config, round_number: int, epoch: int, rank: int = 0, world: int = 1
) -> Iterator[list[Draw]]:
    """The batches of one epoch for one of `world` workers: a seeded order, one side for each batch.

    Every worker gets the same number of batches, of nearly equal length. The last batch may be short, or one
    image longer than the others, but holds at least one image for each worker; with `train.drop_last` a short
    one is left out, unless it is the epoch's only batch.

    Args:
        images: number of images in the round.
        config: seed, batch size and the sides to draw from.
        round_number: the round.
        epoch: from 0.
        rank: which worker.
        world: how many workers.
    """
    length = config.train.batch_size
    order = seeding.rng(config.seed, "order", round_number, epoch).permutation(images)
    number_of = batches_per_epoch(images, length, config.train.drop_last)
    for number in range(number_of):
        ends = number + 1 == number_of and not config.train.drop_last
        batch = order[number * length : None if ends else (number + 1) * length]
        size = int(seeding.rng(config.seed, "side", round_number, epoch, number).choice(config.train.scales))
        mine = batch[rank::world] if len(batch) > rank else batch[:1]
        yield [Draw(int(index), epoch, size) for index in mine]
