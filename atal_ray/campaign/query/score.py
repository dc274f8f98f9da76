"""The query of a shard: attack (Eq. 1), ensemble (6), Diff (3), candidates, RDS (9, 10).

Maps never leave the actor.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from atal_ray import seeding
from atal_ray.acquisition.estimate import Estimate, estimate
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.acquisition.pick import Pick, PixelPool, pick_diverse, pick_random, pick_uncertain
from atal_ray.acquisition.uncertainty import REGION_NAMES, difference, region_kind
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, START, CampaignFolder
from atal_ray.campaign.gallery import image_maps
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.query.load import LoadedShard
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.errors import DivergedError, counted
from atal_ray.labels.points import QUERY_SCHEMA
from atal_ray.networks.inputs import to_batch
from atal_ray.report.gallery_file import gallery_table, problem_row
from atal_ray.runtime.shard_files import part_name
from atal_ray.runtime.throughput import SECONDS
from atal_ray.store.folder import Folder

Row = dict[str, Any]


@dataclass(frozen=True)
class Maps:
    """What the snapshots say about one image."""

    score: npt.NDArray[np.float32]
    """Uncertainty u(x) [S, S]."""
    kinds: npt.NDArray[np.uint8]
    """SR, PIR or PSR [S, S]."""
    features: npt.NDArray[np.float32]
    """Decoder features [C, h, w]."""


@dataclass(frozen=True)
class Scored:
    """One image whose points can be chosen."""

    image_id: str
    pool: PixelPool
    rng: np.random.Generator
    maps: Maps | None
    """None where points are chosen at random."""


class PickShard(SnapshotActor):
    """An actor that holds the snapshots of a round and turns loaded shards into files of picks."""

    def __init__(
        self,
        campaign: CampaignFolder,
        config: Config,
        round_number: int,
        parts: Folder,
        shown: Collection[str] = (),
    ) -> None:
        super().__init__(campaign, config, round_number, config.query.precision, config.attack)
        self.parts, self.shown = parts, frozenset(shown)
        self.gallery: list[Row] = []
        self.random = round_number == START or config.query.strategy == "random"
        self.k = config.budget.asked_for(round_number + 1)
        self.most = config.query.ceiling if config.query.scope == "dataset" else self.k
        self.errors: list[Row] = []
        self.scoring = 0.0

    def __call__(self, row: Row) -> Row:
        """Choose the points of a loaded shard; returns the number of its images, and the seconds of each
        part.
        """
        loaded = LoadedShard.from_row(row)
        if not self.random:
            _ = self.snapshots  # read at the first shard: that is start-up, not scoring
        started, self.scoring = perf_counter(), 0.0
        self.errors = [
            {"stage": "query", "image_id": image_id, "reason": reason} for image_id, reason in loaded.errors
        ]
        self.gallery = [
            problem_row(image_id, reason) for image_id, reason in loaded.errors if image_id in self.shown
        ]
        found = [self._choose_or_leave(image) for image in self._images(loaded)]
        if self.gallery:
            self.parts.write_table(part_name(loaded.shard, "gallery"), gallery_table(self.gallery))
        self.leave(loaded.shard, found)
        done = {"shard": loaded.shard, "images": loaded.stop - loaded.start}
        spent = perf_counter() - started
        if self.random:
            return {**done, SECONDS: {"random points": spent}}
        return {
            **done,
            SECONDS: {"attack and ensemble": self.scoring, "candidates and RDS": spent - self.scoring},
        }

    def _choose_or_leave(self, image: Scored) -> list[Row]:
        """The questions about an image; none, and an error, where its maps or features are not finite."""
        try:
            return self.choose(image)
        except DivergedError:
            self.errors.append({"stage": "query", "image_id": image.image_id, "reason": NOT_FINITE})
            return []

    def choose(self, image: Scored) -> list[Row]:
        """The questions about an image; what is missing becomes an error.

        Raises:
            DivergedError: what the snapshots say of it is not finite.
        """
        pool, maps, config = image.pool, image.maps, self.config.query
        if maps is None:
            pick = pick_random(pool, self.k, image.rng)
        elif config.strategy == "uncertainty":
            pick = pick_uncertain(pool, maps.score, self.k, image.rng)
        else:
            pick = pick_diverse(pool, maps.score, maps.features, self.k, config, image.rng)
        self.require(image, len(pick.xy), self.k)
        return self.questions(image, pick)

    def require(self, image: Scored, found: int, wanted: int) -> None:
        """Note an error where an image has too few pixels left."""
        if found < wanted:
            reason = f"only {found} of {counted(wanted, 'point')} asked: no other pixel is unlabelled"
            self.errors.append({"stage": "query", "image_id": image.image_id, "reason": reason})

    def leave(self, shard: int, found: list[list[Row]]) -> None:
        """Write the files of a shard; the last one says that it is done."""
        self.write(shard, "errors", self.errors, ERROR_SCHEMA)
        self.write(shard, "picks", [row for rows in found for row in rows], QUERY_SCHEMA)

    def write(self, shard: int, kind: str, rows: list[Row], schema: pa.Schema) -> None:
        """Write one file of a shard."""
        self.parts.write_table(part_name(shard, kind), pa.Table.from_pylist(rows, schema))

    def questions(self, image: Scored, pick: Pick) -> list[Row]:
        """Rows of QUERY_SCHEMA in the order of picking."""
        maps = image.maps
        return [
            {
                "image_id": image.image_id,
                "x": int(x),
                "y": int(y),
                "round": self.round_number + 1,
                "order": order,
                "score": 0.0 if maps is None else float(maps.score[cell]),
                "superpixel": int(image.pool.superpixels[cell]),
                "region": "random" if maps is None else REGION_NAMES[maps.kinds[cell]],
            }
            for order, ((x, y), cell) in enumerate(zip(pick.xy, zip(*pick.cells, strict=True), strict=True))
        ]

    def _images(self, shard: LoadedShard) -> Iterator[Scored]:
        """The images of a shard, scored in fixed batches: a convolution's last bits differ with the size of a
        batch.
        """
        size, images = self.config.query.batch_size, len(shard.image_id)
        for batch in (range(start, min(start + size, images)) for start in range(0, images, size)):
            maps = None if self.random else self._estimate(shard, batch)
            for position, index in enumerate(batch):
                image_id = str(shard.image_id[index])
                pool = PixelPool(
                    int(shard.height[index]),
                    int(shard.width[index]),
                    shard.free[index],
                    shard.superpixels[index],
                    shard.points_of(index)[0],
                )
                if self.round_number != START:
                    pool = pool.within(self.config.query.margin, self.most)
                rng = seeding.rng(self.config.seed, "query", self.round_number, image_id)
                if maps is not None and image_id in self.shown:
                    self._show(image_id, maps, position)
                yield Scored(image_id, pool, rng, None if maps is None else self._maps(maps, position))

    def _estimate(self, shard: LoadedShard, batch: range) -> Estimate:
        started = perf_counter()
        images = to_batch(shard.images[batch.start : batch.stop], self.device)
        labels, known = self._labels(shard, batch) if self.config.attack.labels == "points" else (None, None)
        found = estimate(self.snapshots, images, self.config.attack, labels, known)
        self.scoring += perf_counter() - started
        return found

    def _labels(self, shard: LoadedShard, batch: range) -> tuple[Tensor, Tensor]:
        """The labelled points of a batch on the grid: y and where it is known, both [B, 1, S, S]."""
        maps = [
            labels_on_grid(
                *shard.points_of(index),
                self.config.train.size,
                int(shard.height[index]),
                int(shard.width[index]),
            )
            for index in batch
        ]
        labels, known = torch.from_numpy(np.array(maps)[:, :, None]).to(self.device).unbind(1)
        return labels, known

    def _show(self, image_id: str, found: Estimate, position: int) -> None:
        """Keep the maps of an image that the report shows."""
        clean, attacked = found.clean[position], found.attacked[position]
        finite = bool(np.isfinite(clean).all() and np.isfinite(attacked).all())
        maps = image_maps(clean, attacked, self.config.query).to_row(image_id) if finite else None
        self.gallery.append(maps or problem_row(image_id, NOT_FINITE))

    def _maps(self, found: Estimate, position: int) -> Maps:
        clean, attacked = found.clean[position], found.attacked[position]
        config = self.config.query
        return Maps(
            difference(clean, attacked, config.score),
            region_kind(clean, attacked, config.near_boundary),
            found.features[position],
        )
