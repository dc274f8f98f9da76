"""The query of a shard by a method: for ATAL attack (Eq. 1), ensemble (6), Diff (3), candidates, RDS (9, 10).

Maps never leave the actor, and where its networks are on a GPU only candidates leave that.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from atal_ray import seeding
from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.crossing import bring_candidates
from atal_ray.acquisition.estimate import Estimate, estimate
from atal_ray.acquisition.grid import labels_on_grid
from atal_ray.acquisition.pick import Pick, PixelPool, pick_random
from atal_ray.acquisition.predictions import Predictions, predict
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.around_centre import pick_around_centre
from atal_ray.acquisition.uncertainty import REGION_NAMES, region_kind
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, START, CampaignFolder
from atal_ray.campaign.gallery import dropout_chances, image_maps
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.query.load import LoadedShard
from atal_ray.campaign.snapshot_actor import SnapshotActor
from atal_ray.config import Config
from atal_ray.errors import DivergedError, counted
from atal_ray.inference.prepared import Prepared
from atal_ray.labels.points import QUERY_SCHEMA, RANDOM, UNATTACKED
from atal_ray.networks.graphed import Graphed
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
    """What the members say; nothing where no member looked. The scores are there from `choose` on, of
    candidates alone before.
    """
    shown: Seen | None = None
    """The same with all its maps, where the report shows them and `seen` has those of candidates alone."""


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
        found = [self._choose_or_leave(image) for batch in self._batches(loaded) for image in batch]
        if self.gallery:
            self.parts.write_table(part_name(loaded.shard, "gallery"), gallery_table(self.gallery))
        self.leave(loaded.shard, found)
        done = {"shard": loaded.shard, "images": loaded.stop - loaded.start}
        spent = perf_counter() - started
        if self.blind:
            return {**done, SECONDS: {"points without a network": spent}}
        choosing = self.choosing if self.on_gpu else spent - self.scoring
        return {**done, SECONDS: {"networks": self.scoring, "choosing": choosing}}

    def _choose_or_leave(self, image: Scored) -> list[Row]:
        """The questions about an image; none, and an error, where its maps or features are not finite."""
        started = perf_counter()
        try:
            if not self.blind and not image.seen.score.size:
                image = replace(image, seen=self.method.scored(image.seen))
            if not self.blind and image.image_id in self.shown:
                seen = image.seen if image.shown is None else self.method.scored(image.shown)
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
        seen, score = image.seen, image.seen.score
        regions = [RANDOM if self.blind else UNATTACKED] * len(pick.xy)
        if seen.attacked.size:
            near = self.config.query.near_boundary
            kinds = region_kind(seen.clean[pick.cells], seen.attacked[pick.cells], near)
            regions = [REGION_NAMES[kind] for kind in kinds]
        return [
            {
                "image_id": image.image_id,
                "x": int(x),
                "y": int(y),
                "round": self.round_number + 1,
                "order": order,
                "score": float(score[cell]) if score.size else 0.0,
                "superpixel": int(image.pool.superpixels[cell]),
                "region": regions[order],
            }
            for order, ((x, y), cell) in enumerate(zip(pick.xy, zip(*pick.cells, strict=True), strict=True))
        ]

    def _batches(self, shard: LoadedShard) -> Iterator[list[Scored]]:
        """The images of a shard, looked at in fixed batches: a convolution's last bits differ with the size
        of a batch. On a GPU the next batch is under way while pixels of one are chosen.
        """
        size, images = self.config.query.batch_size, len(shard.image_id)
        batches = [range(start, min(start + size, images)) for start in range(0, images, size)]
        look = partial(self._look, shard)
        return map(look, batches) if self.blind else self.ahead(look, batches)

    def _look(self, shard: LoadedShard, batch: range) -> list[Scored]:
        """The images of a batch with what the members say of them."""
        started = perf_counter()
        pools = [self._pool(shard, index) for index in batch]
        ids = [str(shard.image_id[index]) for index in batch]
        rngs = [seeding.rng(self.config.seed, "query", self.round_number, image_id) for image_id in ids]
        if self.blind:
            nothing = Seen.nothing(self.config.train.size)
            return [Scored(*of, nothing) for of in zip(ids, pools, rngs, strict=True)]
        found = self._predict(shard, batch)
        brought = self._candidates(found, pools)
        looked = []
        for position, (image_id, rng) in enumerate(zip(ids, rngs, strict=True)):
            if brought is None:
                seen = self._whole(shard, batch, found, position)
                looked.append(Scored(image_id, pools[position], rng, seen))
            else:
                shown = self._whole(shard, batch, found, position) if image_id in self.shown else None
                pool, seen = brought[position]
                looked.append(Scored(image_id, pool, rng, seen, shown))
        self.scoring += perf_counter() - started
        return looked

    def _pool(self, shard: LoadedShard, index: int) -> PixelPool:
        """The pixels of an image that may be asked for."""
        size = int(shard.height[index]), int(shard.width[index])
        pool = PixelPool(*size, shard.free[index], shard.superpixels[index], shard.points_of(index)[0])
        return pool if self.round_number == START else pool.within(self.config.query.margin, self.most)

    def _predict(self, shard: LoadedShard, batch: range) -> Predictions:
        images = to_batch(shard.images[batch.start : batch.stop], self.device)
        wants = self.method.wants
        given = wants.attacked and self.config.attack.labels == "points"
        labels, known = self._labels(shard, batch) if given else (None, None)
        chances = dropout_chances(self.config, self.round_number, [shard.image_id[i] for i in batch])
        attack = self.config.attack
        return predict(self.snapshots, images, wants, attack, labels, known, chances, self._recorded)

    @cached_property
    def _recorded(self) -> Graphed[Estimate[Tensor]] | None:
        """What a GPU does for a batch, started by one call; None where the members might wait for it."""
        snapshots, attack = self.snapshots, self.config.attack
        if not self.on_gpu or not all(isinstance(one, Prepared) and one.is_fixed for one in snapshots):
            return None

        def of(images: Tensor, labels: Tensor | None = None, known: Tensor | None = None) -> Estimate[Tensor]:
            return estimate(snapshots, images, attack, labels, known)

        return Graphed(of, "the estimate")

    def _candidates(self, found: Predictions, pools: list[PixelPool]) -> list[tuple[PixelPool, Seen]] | None:
        """What leaves a GPU, where the method looks at no other pixels than the most uncertain ones."""
        if not self.on_gpu:
            return None
        looked_at = [self.method.strategy.candidates(pool.pixels, self.most) for pool in pools]
        counts = [count for count in looked_at if count is not None]
        scores = self.method.scored_batch(found) if len(counts) == len(pools) else None
        return None if scores is None else bring_candidates(found, scores, pools, counts)

    def _whole(self, shard: LoadedShard, batch: range, found: Predictions, position: int) -> Seen:
        """All that the method looks at in one image."""
        index = batch[position]
        given: dict[str, Any] = {"image": shard.images[index], "mask": shard.masks[index]}
        return replace(found.of(position), **{name: given[name] for name in self.method.sees})

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
