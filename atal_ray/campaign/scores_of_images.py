"""The scores of each test image by the mean of the snapshots, as a table of a round."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.metrics.scores import LENGTHS

KEPT = ("mae", "s_measure", "weighted_f", "precision", "recall")
"""Of `metrics.scores`; the curves are at the thresholds 0..255."""
SCORE_COLUMNS = sum(LENGTHS[name] for name in KEPT)
SCORE_SCHEMA = pa.schema(
    [
        pa.field("test_set", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        *(pa.field(name, pa.list_(pa.float32(), LENGTHS[name]), nullable=False) for name in KEPT),
    ]
)


def scores_table(test_set: str, ids: Sequence[str], scores: NDArray[np.float32]) -> pa.Table:
    """Rows of SCORE_SCHEMA.

    Args:
        test_set: its name.
        ids: of the images.
        scores: [N, SCORE_COLUMNS], the values of KEPT side by side.
    """
    values = np.asarray(scores, np.float32).reshape(len(ids), SCORE_COLUMNS)
    columns, start = [], 0
    for name in KEPT:
        part = np.ascontiguousarray(values[:, start : start + LENGTHS[name]]).ravel()
        columns.append(pa.FixedSizeListArray.from_arrays(pa.array(part), LENGTHS[name]))
        start += LENGTHS[name]
    return pa.table(
        [pa.array([test_set] * len(ids), pa.string()), pa.array(list(ids), pa.string()), *columns],
        SCORE_SCHEMA,
    )


def scores_of(table: pa.Table, test_set: str) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """The ids of the images of a test set, ascending, and their scores by name, each [N, 1] or [N, 256]."""
    mine = table.filter(pa.compute.equal(table["test_set"], test_set)).combine_chunks()
    scores = {
        name: mine[name].combine_chunks().flatten().to_numpy().astype(np.float64).reshape(-1, LENGTHS[name])
        for name in KEPT
    }
    return mine["image_id"].to_pylist(), scores
