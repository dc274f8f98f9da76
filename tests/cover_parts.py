"""Files of covers as the query's actors leave them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from campaigns import open_campaign

from atal_ray.campaign.query.cover_files import CoverFiles
from atal_ray.campaign.query.covers import FEATURES, vectors
from atal_ray.labels.points import QUERY_SCHEMA

CHANNELS = 16


def cover_files(folder: Path, shards: list[list[str]], score: float | None = None) -> CoverFiles:
    """A candidate for each image name in each shard, with one score for all or random ones, and as many
    labelled points as the shard's number.
    """
    parts, rng = open_campaign(folder).root, np.random.default_rng(0)
    for shard, images in enumerate(shards):
        rows = [
            dict.fromkeys(QUERY_SCHEMA.names, 1)
            | {
                "image_id": image,
                "region": "SR",
                "x": x,
                "score": float(rng.random()) if score is None else score,
            }
            for x, image in enumerate(images)
        ]
        table = pa.Table.from_pylist(rows, QUERY_SCHEMA).append_column(
            FEATURES, vectors([units(rng, len(images))], CHANNELS)
        )
        parts.write_table(f"{shard:06d}.covers.parquet", table)
        parts.write_table(
            f"{shard:06d}.labelled.parquet", pa.table({FEATURES: vectors([units(rng, shard)], CHANNELS)})
        )
    return CoverFiles(parts, len(shards))


def units(rng: np.random.Generator, count: int) -> np.ndarray:
    """Unit vectors."""
    rows = rng.standard_normal((count, CHANNELS), np.float32)
    return rows / np.sqrt(np.vecdot(rows, rows))[:, None]
