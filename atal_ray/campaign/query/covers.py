"""One budget for all images (scope dataset): the query of a shard leaves ranked covers instead of picks."""

import numpy as np
import pyarrow as pa

from atal_ray.acquisition.pick import rank_diverse
from atal_ray.acquisition.rds import unit_vectors
from atal_ray.campaign.campaign_folder import ERROR_SCHEMA
from atal_ray.campaign.query.looking import Scored
from atal_ray.campaign.query.score import PickShard, Row
from atal_ray.labels.points import QUERY_SCHEMA
from atal_ray.runtime.shard_files import part_name

FEATURES = "features"
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class CoverShard(PickShard):
    """An actor that turns loaded shards into files of covers, a question with its features a row, and of
    labelled features.
    """

    def choose(self, image: Scored) -> list[Row]:
        """The cover of an image, the first to ask for first, for as many points as an image may get."""
        config, seen = self.config.query, image.seen
        found = rank_diverse(image.pool, seen.score, seen.sampled, config.ceiling, config, image.rng)
        self.require(image, len(found.pick.xy), max(1, config.floor))
        self.covers.append(_unit(found.features))
        self.labelled.append(_unit(found.labelled))
        return self.questions(image, found.pick)

    def __call__(self, row: Row) -> Row:
        """Rank the covers of a loaded shard."""
        self.covers: list[Matrix] = []
        self.labelled: list[Matrix] = []
        return super().__call__(row)

    def leave(self, shard: int, found: list[list[Row]]) -> None:
        """Write the errors, the labelled features and, last, the covers."""
        channels = self.snapshots[-1].feature_channels
        self.write(shard, "errors", self.errors, ERROR_SCHEMA)
        self.parts.write_table(
            part_name(shard, "labelled"), pa.table({FEATURES: vectors(self.labelled, channels)})
        )
        questions = pa.Table.from_pylist([row for rows in found for row in rows], QUERY_SCHEMA)
        self.parts.write_table(
            part_name(shard, "covers"), questions.append_column(FEATURES, vectors(self.covers, channels))
        )


def _unit(features: Matrix) -> Matrix:
    return unit_vectors(features).astype(np.float32)


def vectors(rows: list[Matrix], channels: int) -> pa.FixedSizeListArray:
    """Rows [N, C] as a column of lists."""
    values = np.concatenate([np.empty((0, channels), np.float32), *rows])
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), channels)


def matrix(column: pa.ChunkedArray) -> Matrix:
    """A column of lists as rows [N, C]."""
    whole = column.combine_chunks()
    found: Matrix = whole.flatten().to_numpy(zero_copy_only=False).reshape(-1, whole.type.list_size)
    return found
