"""The query of a shard by a method: what the snapshots say of its images -> the pixels to ask for.

For ATAL: candidates, RDS (9, 10). Maps never leave the actor.
"""

from collections.abc import Collection
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from atal_ray.acquisition.pick import Pick, pick_random
from atal_ray.acquisition.seen import Seen
from atal_ray.acquisition.strategies.around_centre import pick_around_centre
from atal_ray.acquisition.uncertainty import REGION_NAMES, region_kind
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, START, CampaignFolder
from atal_ray.campaign.gallery import image_maps
from atal_ray.campaign.not_finite import NOT_FINITE
from atal_ray.campaign.query.load import LoadedShard
from atal_ray.campaign.query.looking import LookingActor, Scored
from atal_ray.config import Config
from atal_ray.errors import DivergedError, counted
from atal_ray.labels.points import QUERY_SCHEMA, RANDOM, UNATTACKED
from atal_ray.report.gallery_file import gallery_table, problem_row
from atal_ray.runtime.shard_files import part_name
from atal_ray.runtime.throughput import SECONDS
from atal_ray.store.folder import Folder

Row = dict[str, Any]


class PickShard(LookingActor):
    """An actor that turns loaded shards into files of picks."""

    def __init__(
        self,
        campaign: CampaignFolder,
        config: Config,
        round_number: int,
        parts: Folder,
        shown: Collection[str] = (),
    ) -> None:
        super().__init__(campaign, config, round_number, shown)
        self.parts = parts
        self.gallery: list[Row] = []
        self.errors: list[Row] = []
        self.choosing = 0.0

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
        found = [self._choose_or_leave(image) for batch in self.batches(loaded) for image in batch]
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

    def _show(self, image_id: str, seen: Seen) -> None:
        """Keep the maps of an image that the report shows."""
        finite = all(np.isfinite(part).all() for part in (seen.clean, seen.attacked, seen.score))
        maps = image_maps(seen, self.method, self.config.query).to_row(image_id) if finite else None
        self.gallery.append(maps or problem_row(image_id, NOT_FINITE))
