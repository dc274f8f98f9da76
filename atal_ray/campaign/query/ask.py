"""Stage: snapshots, points and images -> the next questions (Ray Data)."""

from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Any

import pyarrow as pa

from atal_ray.campaign.campaign_folder import ERROR_SCHEMA, ERRORS, MANIFEST, QUERIES, START, CampaignFolder
from atal_ray.campaign.query.covers import CoverShard
from atal_ray.campaign.query.dataset_actor import check_index, choose_by_need
from atal_ray.campaign.query.load import load_shard, loaded_bytes
from atal_ray.campaign.query.score import ScoreShard
from atal_ray.config import Config
from atal_ray.labels.points import QUERY_SCHEMA, concat
from atal_ray.runtime.shards import Pool, part_name, run_shards, shard_rows
from atal_ray.runtime.throughput import THROUGHPUT, Throughput
from atal_ray.store.folder import Folder


def query(campaign: CampaignFolder, config: Config, round_number: int, out: Folder | None = None) -> None:
    """Choose the points that a round asks for; writes queries.parquet, and errors.parquet for images without
    them.

    START asks for `budget.start` random points, without a network. A round asks for `budget.per_round` by
    `query.strategy`, of each image or (scope dataset) on average. A shard's picks, or the covers that the
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
    images = campaign.root.count_rows(MANIFEST)
    parts, rows = out / f"{QUERIES}.parts", shard_rows(images, config.query.shard_size)
    kind, actor = ("covers", CoverShard) if by_need else ("picks", ScoreShard)
    finished = set(parts.names())
    pending = [row for row in rows if part_name(row["shard"], kind) not in finished]
    arguments: dict[str, Any] = {"campaign": campaign, "config": config, "round_number": round_number}
    throughput = Throughput()
    for row in run_shards(
        pending,
        Pool.of_query(config, network=round_number != START and config.query.strategy != "random"),
        load=partial(load_shard, **arguments),
        actor=actor,
        arguments={**arguments, "parts": parts},
        title="random start" if round_number == START else f"round {round_number}: query",
        total=images,
        loaded_bytes=loaded_bytes(config),
        throughput=throughput,
    ):
        del row  # its picks are in a file already
    if by_need:
        started = perf_counter()
        choose_by_need(config, round_number, parts, len(rows), images)
        spent = perf_counter() - started
        throughput.add(0, {"RDS over all images": spent}, throughput.elapsed + spent)
    tables = _parts(parts, [*rows, *([{"shard": len(rows)}] if by_need else [])], "errors")
    errors = concat((table for table in tables if table.num_rows), ERROR_SCHEMA)
    if errors.num_rows:
        out.write_table(ERRORS, errors)
    if throughput.images:
        out.write_json(THROUGHPUT, throughput.to_json())
    out.write_tables(QUERIES, _parts(parts, rows, "picks"), QUERY_SCHEMA)
    parts.delete()


def _parts(parts: Folder, rows: list[dict[str, int]], kind: str) -> Iterator[pa.Table]:
    for row in rows:
        yield parts.read_table(part_name(row["shard"], kind))
