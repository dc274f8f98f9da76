"""Of each image: how much the teacher is sure of, clicks say, is salient, and is wrong."""

from typing import Any

import numpy as np
import pyarrow as pa

from atal_ray.campaign.finish.known import SURE, Labels, Map
from atal_ray.data.record import Record
from atal_ray.errors import DataError
from atal_ray.labels.points import UNSURE

SHARES = "shares.parquet"
SHARE_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("sure", pa.float32(), nullable=False),  # share of the pixels that the teacher is sure of
        pa.field("clicked", pa.float32(), nullable=False),  # share that clicks and their regions say
        pa.field("salient", pa.float32(), nullable=False),  # share at or above one half
        pa.field("wrong", pa.float32()),  # share on the other side of one half than the mask; null without
    ]
)


def share_of(record: Record, seen: Map, known: Labels) -> dict[str, Any]:
    """A row of SHARE_SCHEMA.

    Args:
        record: the image.
        seen: the teacher's map [H, W].
        known: what clicks and their regions say [H, W], 255 for nothing.
    """
    clicked = known != UNSURE
    sure = (seen > SURE) | (seen < 1 - SURE) | clicked
    salient = np.where(clicked, known == 1, seen >= 0.5)
    try:
        wrong = float((salient != record.read_mask().astype(bool)).mean())
    except DataError:  # there is none, or it is gone: nothing here needs it
        wrong = None
    return {
        "image_id": record.image_id,
        "sure": float(sure.mean()),
        "clicked": float(clicked.mean()),
        "salient": float(salient.mean()),
        "wrong": wrong,
    }
