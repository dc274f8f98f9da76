"""Stage: snapshots, points and images -> the next questions."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.acquisition.asking import Asking
from atal_ray.annotation.left_open import asked_again, left_open
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, ERRORS, MANIFEST, QUERIES, START, CampaignFolder
from atal_ray.campaign.cost import QUERY_COST
from atal_ray.campaign.look import Look, look
from atal_ray.campaign.not_finite import require_finite
from atal_ray.campaign.query.covers import CoverShard
from atal_ray.campaign.query.dataset_actor import check_index, choose_by_need
from atal_ray.campaign.query.fit import fit
from atal_ray.campaign.query.load import load_shard, loaded_bytes
from atal_ray.campaign.query.score import PickShard
from atal_ray.config import Config
from atal_ray.errors import counted
from atal_ray.labels.points import QUERY_SCHEMA, concat
from atal_ray.report.gallery_file import GALLERY, GALLERY_SCHEMA, shown_records
from atal_ray.runtime.bad_images import BadImages
from atal_ray.runtime.shard_files import ShardFiles, part_name
from atal_ray.runtime.shards import Pool, Row, ShardWork, Stage, shard_rows
from atal_ray.runtime.throughput import THROUGHPUT, Throughput
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)


def query(campaign: CampaignFolder, config: Config, round_number: int, out: Folder | None = None) -> None:
    """Choose the points that a round asks for; see `Query`."""
    look([Query(campaign, config, round_number, out)])


class Query(Look):
    """Writes queries.parquet, errors.parquet for images without points, and gallery.parquet with the maps of
    the few images that the report shows.

    START asks for `budget.start` random points, without a network. A round asks for `budget.per_round` by
    `query.method`, of each image or (scope dataset) on average. A shard's picks, or the covers that the
    whole data set is chosen from, are a file of their own until all are there, so a restart repeats
    unfinished shards alone.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots ask, or START.
        out: folder of the result; that of the round if unset.
    """

    file, cost = QUERIES, QUERY_COST

    def __init__(
        self, campaign: CampaignFolder, config: Config, round_number: int, out: Folder | None = None
    ) -> None:
        super().__init__(campaign, config, round_number)
        self.out = out or campaign.round(round_number)
        self.title = "random start" if round_number == START else f"round {round_number}: query"
        self.by_need = round_number != START and config.query.scope == "dataset"
        if self.by_need:
            check_index(config)
        self.runs_networks = round_number != START and Asking.of(config.query).looks
        self.pool = Pool.of_query(config, network=self.runs_networks)
        self.images = campaign.root.count_rows(MANIFEST)
        self.rows = shard_rows(self.images, config.query.shard_size)
        self.kind = "covers" if self.by_need else "picks"
        self.parts = ShardFiles(self.out / f"{QUERIES}.parts", last=self.kind)
        self.throughput = Throughput()

    def works(self) -> list[ShardWork]:
        """The shards that are left, after the method was fitted to the labelled points."""
        campaign, config = self.campaign, self.config
        if self.round_number != START:
            fit(campaign, config, self.round_number)
        same: dict[str, Any] = {"campaign": campaign, "config": config, "round_number": self.round_number}
        shown = shown_records(campaign.chunks(), campaign.training_data(config)) if self.runs_networks else []
        own = {"parts": self.parts.folder, "shown": [record.image_id for record in shown]}
        stage = Stage(
            CoverShard if self.by_need else PickShard,
            {**same, **own},
            partial(load_shard, **same),
            loaded_bytes(config),
        )
        bad = BadImages.of_table(campaign.root, MANIFEST, config.data.on_bad_file)
        self.throughput = Throughput()
        return [
            ShardWork(self.title, self.parts.pending(self.rows), self.images, stage, self.throughput, bad)
        ]

    def take(self, number: int, row: Row) -> None:
        """Nothing: the picks of a shard are in a file already."""

    def finish(self) -> None:
        """Choose from all shards where the budget is one for all images, and join what the shards left."""
        config, parts, shards = self.config, self.parts, range(len(self.rows))
        errors = concat((table for table in parts.tables("errors", shards) if table.num_rows), ERROR_SCHEMA)
        done = any(parts.folder.count_rows(part_name(shard, self.kind)) for shard in shards)
        reasons = (reason.as_py() for reason in errors["reason"])
        require_finite(reasons, int(done), self.title, config.train.lr_max)
        if self.by_need:
            errors = concat([errors, *self._choose_by_need()], ERROR_SCHEMA)
        if self.throughput.images:
            self.out.write_json(THROUGHPUT, self.throughput.to_json())
        left = left_open(self.campaign, config, self.round_number)
        if left.num_rows:
            logger.info("%s without an answer: asked again", counted(left.num_rows, "earlier question"))
        picks = asked_again(parts.tables("picks", shards), left, self.round_number + 1)
        _write(parts, shards, picks, errors, self.out)

    def _choose_by_need(self) -> Iterator[pa.Table]:
        """Choose the picks of all shards from their covers; what could not be asked."""
        started, shards = perf_counter(), len(self.rows)
        choose_by_need(self.config, self.round_number, self.parts.folder, shards, self.images)
        spent = perf_counter() - started
        self.throughput.add(0, {"RDS over all images": spent}, self.throughput.elapsed + spent)
        return self.parts.tables("errors", [shards])


def _write(
    parts: ShardFiles, shards: Sequence[int], picks: Iterable[pa.Table], errors: pa.Table, out: Folder
) -> None:
    """Join what the shards left; the questions are written last."""
    if errors.num_rows:
        out.write_table(ERRORS, errors)
        images = counted(pc.count_distinct(errors["image_id"]).as_py(), "image")
        logger.warning("no question, or too few, about %s, listed in %s", images, out.where(ERRORS))
    left = set(parts.folder.names())
    galleries = [shard for shard in shards if part_name(shard, "gallery") in left]
    if galleries:
        out.write_table(GALLERY, concat(parts.tables("gallery", galleries), GALLERY_SCHEMA))
    out.write_tables(QUERIES, picks, QUERY_SCHEMA)
    parts.folder.delete()
