"""The scores of each test image by the mean of the snapshots, as a table of a round."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import IMAGE_SCORES
from atal_ray.metrics.scores import LENGTHS
from atal_ray.store.folder import Folder

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


def write_scores(folder: Folder, test_sets: Collection[str], tables: Iterable[pa.Table]) -> None:
    """Write image_scores.parquet: the scores of some test sets, beside those of others that are there.

    Args:
        folder: of a round or of a finish.
        test_sets: names of these sets.
        tables: from `scores_table`.
    """
    known = folder.read_table(IMAGE_SCORES) if folder.exists(IMAGE_SCORES) else SCORE_SCHEMA.empty_table()
    kept = known.filter(pc.invert(pc.is_in(known["test_set"], pa.array(sorted(test_sets), pa.string()))))
    order = [("test_set", "ascending"), ("image_id", "ascending")]
    folder.write_table(IMAGE_SCORES, pa.concat_tables([kept, *tables]).sort_by(order))


def scores_of(table: pa.Table, test_set: str) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """The ids of the images of a test set, ascending, and their scores by name, each [N, 1] or [N, 256]."""
    mine = table.filter(pc.equal(table["test_set"], test_set)).combine_chunks()
    scores = {
        name: mine[name].combine_chunks().flatten().to_numpy().astype(np.float64).reshape(-1, LENGTHS[name])
        for name in KEPT
    }
    return mine["image_id"].to_pylist(), scores
