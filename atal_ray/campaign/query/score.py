"""The query of a shard by a method: for ATAL attack (Eq. 1), ensemble (6), Diff (3), candidates, RDS (9, 10).

Maps never leave the actor.
"""

from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from atal_ray import seeding
from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.acquisition.pick import Pick, PixelPool, pick_random
from atal_ray.acquisition.predictions import Predictions, predict
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.around_centre import pick_around_centre
from atal_ray.acquisition.uncertainty import REGION_NAMES
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, START, CampaignFolder
from atal_ray.campaign.gallery import dropout_chances, image_maps, kinds_of
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.query.load import LoadedShard
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.errors import DivergedError, counted
from atal_ray.labels.points import QUERY_SCHEMA, RANDOM, UNATTACKED
from atal_ray.networks.inputs import to_batch
from atal_ray.report.gallery_file import gallery_table, problem_row
from atal_ray.runtime.shard_files import part_name
from atal_ray.runtime.throughput import SECONDS
from atal_ray.store.folder import Folder

Row = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """One image whose points can be chosen."""

    image_id: str
    pool: PixelPool
    rng: np.random.Generator
    seen: Seen
    """What the members say, and from `choose` on the scores; nothing where no member looked."""
    kinds: npt.NDArray[np.uint8] | None = None
    """SR, PIR or PSR [S, S], where the image was attacked."""


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
        self.method = Asking.of(config.query)
        super().__init__(campaign, config, round_number, config.query.precision, self.method)
        self.parts, self.shown = parts, frozenset(shown)
        self.gallery: list[Row] = []
        self.blind = round_number == START or not self.method.looks
        self.k = config.budget.asked_for(round_number + 1)
        self.most = config.query.ceiling if config.query.scope == "dataset" else self.k
        self.errors: list[Row] = []
        self.scoring = self.choosing = 0.0

    @cached_property
    def ahead(self) -> bool:
        """Whether networks look at the next batch while pixels of one are chosen."""
        return self.device.type == "cuda"

    def __call__(self, row: Row) -> Row:
        """Choose the points of a loaded shard; returns the number of its images, and the seconds of each
        part.
        """
        loaded = LoadedShard.from_row(row)
        if not self.blind:
            _ = self.snapshots  # read at the first shard: that is start-up, not scoring
        started, self.scoring, self.choosing = perf_counter(), 0.0, 0.0
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
        if self.blind:
            return {**done, SECONDS: {"points without a network": spent}}
        choosing = self.choosing if self.ahead else spent - self.scoring
        return {**done, SECONDS: {"networks": self.scoring, "choosing": choosing}}

    def _choose_or_leave(self, image: Scored) -> list[Row]:
        """The questions about an image; none, and an error, where its maps or features are not finite."""
        started = perf_counter()
        try:
            if not self.blind:
                seen = self.method.scored(image.seen)
                image = replace(image, seen=seen, kinds=kinds_of(seen, self.config.query))
                if image.image_id in self.shown:
                    self._show(image.image_id, seen)
            return self.choose(image)
        except DivergedError:
            self.errors.append({"stage": "query", "image_id": image.image_id, "reason": NOT_FINITE})
            return []
        finally:
            self.choosing += perf_counter() - started

    def choose(self, image: Scored) -> list[Row]:
        """The questions about an image; what is missing becomes an error.

        Raises:
            DivergedError: what the snapshots say of it is not finite.
        """
        if self.round_number != START:
            pick = self.method.pick(image.pool, image.seen, self.k, image.rng)
        elif self.config.budget.start_strategy == "centre":
            pick = pick_around_centre(image.pool, self.k, image.rng, first_in_centre=True)
        else:
            pick = pick_random(image.pool, self.k, image.rng)
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
        score, kinds = image.seen.score, image.kinds
        elsewhere = RANDOM if self.blind else UNATTACKED
        return [
            {
                "image_id": image.image_id,
                "x": int(x),
                "y": int(y),
                "round": self.round_number + 1,
                "order": order,
                "score": float(score[cell]) if score.size else 0.0,
                "superpixel": int(image.pool.superpixels[cell]),
                "region": elsewhere if kinds is None else REGION_NAMES[kinds[cell]],
            }
            for order, ((x, y), cell) in enumerate(zip(pick.xy, zip(*pick.cells, strict=True), strict=True))
        ]

    def _images(self, shard: LoadedShard) -> Iterator[Scored]:
        """The images of a shard, scored in fixed batches: a convolution's last bits differ with the size of a
        batch.
        """
        size, images = self.config.query.batch_size, len(shard.image_id)
        batches = [range(start, min(start + size, images)) for start in range(0, images, size)]
        for batch, found in zip(batches, self._predictions(shard, batches), strict=True):
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
                if found is None:
                    yield Scored(image_id, pool, rng, Seen.nothing(self.config.train.size))
                    continue
                given: dict[str, Any] = {"image": shard.images[index], "mask": shard.masks[index]}
                seen = replace(found.of(position), **{name: given[name] for name in self.method.sees})
                yield Scored(image_id, pool, rng, seen)

    def _predictions(self, shard: LoadedShard, batches: list[range]) -> Iterator[Predictions | None]:
        """What the members say of each batch; on a GPU the next one is under way while pixels are chosen."""
        if self.blind or not self.ahead:
            yield from (None if self.blind else self._predict(shard, batch) for batch in batches)
            return
        with ThreadPoolExecutor(1) as thread:
            before: Future[Predictions] | None = None
            for batch in batches:
                under_way = thread.submit(self._predict, shard, batch)
                if before is not None:
                    yield before.result()
                before = under_way
            if before is not None:
                yield before.result()

    def _predict(self, shard: LoadedShard, batch: range) -> Predictions:
        started = perf_counter()
        images = to_batch(shard.images[batch.start : batch.stop], self.device)
        wants = self.method.wants
        given = wants.attacked and self.config.attack.labels == "points"
        labels, known = self._labels(shard, batch) if given else (None, None)
        chances = dropout_chances(self.config, self.round_number, [shard.image_id[i] for i in batch])
        found = predict(self.snapshots, images, wants, self.config.attack, labels, known, chances)
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

    def _show(self, image_id: str, seen: Seen) -> None:
        """Keep the maps of an image that the report shows."""
        finite = all(np.isfinite(part).all() for part in (seen.clean, seen.attacked, seen.score))
        maps = image_maps(seen, self.method, self.config.query).to_row(image_id) if finite else None
        self.gallery.append(maps or problem_row(image_id, NOT_FINITE))
