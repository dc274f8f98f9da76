"""Files of an evaluation: which maps are compared, and the scores of each method on each test set."""

import pyarrow as pa

from atal_ray.metrics.scores import ROW

PAIRS, LISTED, IMAGES, NOTES, METRICS = (
    "pairs.parquet",
    "listed.parquet",
    "images.parquet",
    "notes.parquet",
    "metrics.json",
)
SHARD = 64  # pairs, the unit of work and of resume
FORMAT = 1  # of scores on disk: those of another format are made again
PAIR_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("image_id", "map", "mask")),  # paths
        *(
            pa.field(name, pa.int64(), nullable=False)
            for name in ("map_bytes", "map_changed", "mask_bytes", "mask_changed")
        ),
    ]
)
"""Paths, sizes and times of change: another file, or a changed one, is scored again."""
IMAGE_SCHEMA = pa.schema(
    [pa.field("image_id", pa.string(), nullable=False), *(pa.field(name, pa.float64()) for name in ROW)]
)
NOTE_SCHEMA = pa.schema([(name, pa.string()) for name in ("image_id", "kind", "note")])
INCOMPLETE = ("missing", "unreadable", "extra")
"""Kinds of notes that make an evaluation incomplete; the others are of maps that were scored."""
