"""The scoring half of the query: attack, ensemble, candidates and RDS; maps never leave the actor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from atal_ray import seeding
from atal_ray.campaign_folder import ERROR_SCHEMA, START, CampaignFolder
from atal_ray.config import Config
from atal_ray.files import Folder
from atal_ray.networks.inputs import to_batch
from atal_ray.points import QUERY_SCHEMA
from atal_ray.sampling.grid import labels_on_grid
from atal_ray.sampling.pick import Pick, Pool, pick_diverse, pick_random, pick_uncertain
from atal_ray.stages.shards import part_name
from atal_ray.stages.snapshot_actor import SnapshotActor
from atal_ray.uncertainty.estimate import Estimate, estimate
from atal_ray.uncertainty.margin import REGION_NAMES, difference, region_kind

Row = dict[str, Any]


class ScoreShard(SnapshotActor):
    """An actor that holds the snapshots of a round and turns loaded shards into files of picks."""

    def __init__(self, campaign: CampaignFolder, config: Config, round_number: int, parts: Folder) -> None:
        super().__init__(campaign, config, round_number)
        self.parts = parts
        self.random = round_number == START or config.query.strategy == "random"
        self.k = config.budget.start if round_number == START else config.budget.per_round

    def __call__(self, row: Row) -> Row:
        """Pick the points of a loaded shard; returns the number of its images."""
        picks: list[Row] = []
        errors = [{"stage": "query", "image_id": image_id, "reason": reason} for image_id, reason in row["errors"]]
        for batch in self._batches(len(row["image_id"])):
            maps = None if self.random else self._estimate(row, batch)
            for position, index in enumerate(batch):
                found = self._pick_image(row, index, maps, position)
                picks.extend(found)
                if len(found) < self.k:
                    reason = f"only {len(found)} of {self.k} points asked: no other pixel is unlabelled"
                    errors.append({"stage": "query", "image_id": row["image_id"][index], "reason": reason})
        self.parts.write_table(part_name(row["shard"], "errors"), pa.Table.from_pylist(errors, ERROR_SCHEMA))
        self.parts.write_table(part_name(row["shard"], "picks"), pa.Table.from_pylist(picks, QUERY_SCHEMA))  # last: the shard is done
        return {"shard": row["shard"], "images": row["stop"] - row["start"]}

    def _batches(self, images: int) -> Iterator[range]:
        """Fixed batches: convolutions differ in the last bits with the size of a batch, so it may not depend on Ray."""
        size = self.config.query.batch_size
        return (range(start, min(start + size, images)) for start in range(0, images, size))

    def _estimate(self, row: Row, batch: range) -> Estimate:
        images = to_batch(row["images"][batch.start : batch.stop], self.device)
        labels, known = self._labels(row, batch) if self.config.attack.labels == "points" else (None, None)
        return estimate(self.snapshots, images, self.config.attack, labels, known)

    def _labels(self, row: Row, batch: range) -> tuple[Tensor, Tensor]:
        """The labelled points of a batch on the grid: y and where it is known, both [B, 1, S, S]."""
        maps = []
        for index in batch:
            mine, sides = row["point_image"] == index, (int(row["height"][index]), int(row["width"][index]))
            maps.append(labels_on_grid(row["point_xy"][mine], row["point_label"][mine], self.config.train.size, *sides))
        labels, known = torch.from_numpy(np.array(maps)[:, :, None]).to(self.device).unbind(1)
        return labels, known

    def _pick_image(self, row: Row, index: int, maps: Estimate | None, position: int) -> list[Row]:
        image_id, config = str(row["image_id"][index]), self.config.query
        rng = seeding.rng(self.config.seed, "query", self.round_number, image_id)
        labelled = row["point_xy"][row["point_image"] == index]
        pool = Pool(int(row["height"][index]), int(row["width"][index]), row["free"][index], row["superpixels"][index], labelled)
        if maps is None:
            return self._rows(image_id, pool, pick_random(pool, self.k, rng))
        clean, attacked = maps.clean[position], maps.attacked[position]
        score = difference(clean, attacked, config.score)
        kinds = region_kind(clean, attacked, config.near_boundary)
        if config.strategy == "uncertainty":
            return self._rows(image_id, pool, pick_uncertain(pool, score, self.k, rng), score, kinds)
        return self._rows(image_id, pool, pick_diverse(pool, score, maps.features[position], self.k, config, rng), score, kinds)

    def _rows(
        self,
        image_id: str,
        pool: Pool,
        pick: Pick,
        score: np.ndarray[Any, Any] | None = None,
        kinds: np.ndarray[Any, Any] | None = None,
    ) -> list[Row]:
        return [
            {
                "image_id": image_id,
                "x": int(x),
                "y": int(y),
                "round": self.round_number + 1,
                "order": order,
                "score": 0.0 if score is None else float(score[row, column]),
                "superpixel": int(pool.superpixels[row, column]),
                "region": "random" if kinds is None else REGION_NAMES[kinds[row, column]],
            }
            for order, ((x, y), row, column) in enumerate(zip(pick.xy, *pick.cells, strict=True))
        ]
