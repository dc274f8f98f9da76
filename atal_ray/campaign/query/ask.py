"""Stage: snapshots, points and images -> the next questions."""

import logging
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.acquisition.asking import Asking
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, ERRORS, MANIFEST, QUERIES, START, CampaignFolder
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
from atal_ray.runtime.shards import Pool, run_shards, shard_rows
from atal_ray.runtime.throughput import THROUGHPUT, Throughput
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)


def query(campaign: CampaignFolder, config: Config, round_number: int, out: Folder | None = None) -> None:
    """Choose the points that a round asks for; writes queries.parquet, errors.parquet for images without
    them, and gallery.parquet with the maps of the few images that the report shows.

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
    out = out or campaign.round(round_number)
    by_need = round_number != START and config.query.scope == "dataset"
    if by_need:
        check_index(config)
    if round_number != START:
        fit(campaign, config, round_number)
    images = campaign.root.count_rows(MANIFEST)
    rows = shard_rows(images, config.query.shard_size)
    kind, actor = ("covers", CoverShard) if by_need else ("picks", PickShard)
    parts = ShardFiles(out / f"{QUERIES}.parts", last=kind)
    arguments: dict[str, Any] = {"campaign": campaign, "config": config, "round_number": round_number}
    looks = round_number != START and Asking.of(config.query).looks
    shown = shown_records(campaign.chunks(), campaign.training_data(config)) if looks else []
    throughput = Throughput()
    for row in run_shards(
        parts.pending(rows),
        Pool.of_query(config, network=looks),
        load=partial(load_shard, **arguments),
        actor=actor,
        arguments={**arguments, "parts": parts.folder, "shown": [record.image_id for record in shown]},
        title="random start" if round_number == START else f"round {round_number}: query",
        total=images,
        loaded_bytes=loaded_bytes(config),
        throughput=throughput,
        bad=BadImages.of_table(campaign.root, MANIFEST, config.data.on_bad_file),
    ):
        del row  # its picks are in a file already
    shards = range(len(rows))
    errors = concat((table for table in parts.tables("errors", shards) if table.num_rows), ERROR_SCHEMA)
    done = any(parts.folder.count_rows(part_name(shard, kind)) for shard in shards)
    reasons = (reason.as_py() for reason in errors["reason"])
    require_finite(reasons, int(done), f"round {round_number}: query", config.train.lr_max)
    if by_need:
        started = perf_counter()
        choose_by_need(config, round_number, parts.folder, len(rows), images)
        spent = perf_counter() - started
        throughput.add(0, {"RDS over all images": spent}, throughput.elapsed + spent)
        errors = concat([errors, *parts.tables("errors", [len(rows)])], ERROR_SCHEMA)
    if throughput.images:
        out.write_json(THROUGHPUT, throughput.to_json())
    _write(parts, shards, errors, out)


def _write(parts: ShardFiles, shards: Sequence[int], errors: pa.Table, out: Folder) -> None:
    """Join what the shards left; the questions are written last."""
    if errors.num_rows:
        out.write_table(ERRORS, errors)
        images = counted(pc.count_distinct(errors["image_id"]).as_py(), "image")
        logger.warning("no question, or too few, about %s, listed in %s", images, out.where(ERRORS))
    left = set(parts.folder.names())
    galleries = [shard for shard in shards if part_name(shard, "gallery") in left]
    if galleries:
        out.write_table(GALLERY, concat(parts.tables("gallery", galleries), GALLERY_SCHEMA))
    out.write_tables(QUERIES, parts.tables("picks", shards), QUERY_SCHEMA)
    parts.folder.delete()
