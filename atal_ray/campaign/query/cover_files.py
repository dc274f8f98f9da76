"""The files that `CoverShard` leaves of each shard, as the candidates of one allocation; vectors are read
when they are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.acquisition.dataset_budget.allocation import Covers
from atal_ray.campaign.query.covers import FEATURES, matrix
from atal_ray.labels.points import QUERY_SCHEMA
from atal_ray.runtime.shard_files import part_name
from atal_ray.store.folder import Folder
from atal_ray.store.read_ahead import read_ahead

Matrix = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class CoverFiles:
    """The covers of all shards in one folder; their candidates are numbered through, shard after shard."""

    parts: Folder
    shards: int

    @cached_property
    def starts(self) -> Indices:
        """The number of each shard's first candidate, and last of all their count."""
        return np.cumsum([0, *self._rows("covers")], dtype=np.int64)

    @property
    def candidates(self) -> int:
        """How many there are."""
        return int(self.starts[-1])

    @cached_property
    def labelled_points(self) -> int:
        """How many labelled points there are."""
        return sum(self._rows("labelled"))

    @cached_property
    def channels(self) -> int:
        """Length of a vector."""
        return int(self._vectors(0, "covers").shape[1])

    def labelled_features(self, first: int = 0, last: int | None = None) -> Iterator[Matrix]:
        """Unit feature vectors of the labelled points of each shard from `first` up to `last` (excluded)."""
        shards = range(first, self.shards if last is None else last)
        return read_ahead(lambda shard: self._vectors(shard, "labelled"), shards)

    def covers(self) -> Covers:
        """All candidates, without the names of the images, which would be most of the memory."""
        total, images = self.candidates, 0
        image, superpixel = np.empty(total, np.int32), np.empty(total, np.int32)
        score = np.empty(total, np.float32)
        for (first, last), table in zip(pairwise(self.starts), self._numbers(), strict=True):
            # numbered by appearance: ascending; none is in two shards
            names = table["image_id"].combine_chunks().dictionary_encode()
            image[first:last] = names.indices.to_numpy() + images
            score[first:last] = table["score"].to_numpy()
            superpixel[first:last] = table["superpixel"].to_numpy()
            images += len(names.dictionary)
        return Covers(image, score, superpixel, self.features)

    def features(self, rows: Indices) -> Matrix:
        """Unit feature vectors of candidates, in their order; reads the shards that these are of."""
        found = np.empty((len(rows), self.channels), np.float32)
        by_shard = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[by_shard], self.starts)

        def read(shard: int) -> None:
            mine = by_shard[bounds[shard] : bounds[shard + 1]]
            found[mine] = self._vectors(shard, "covers")[rows[mine] - self.starts[shard]]

        for _ in read_ahead(read, np.flatnonzero(np.diff(bounds)).tolist()):
            pass
        return found

    def write_picks(self, chosen: Indices, orders: Indices) -> Iterator[int]:
        """Write the chosen candidates, ascending by image, as the picks of their shards in this order; yields
        how many shards are done.

        Picks that are there are those of an earlier run, which chose the same.
        """
        shard_of = np.searchsorted(self.starts[1:], chosen, side="right")  # ascending, as the images are
        bounds = np.searchsorted(shard_of, np.arange(self.shards + 1))
        there = set(self.parts.names())

        def write(shard: int) -> int:
            if part_name(shard, "picks") not in there:
                mine = slice(bounds[shard], bounds[shard + 1])
                self._write_picks(shard, chosen[mine] - self.starts[shard], orders[mine])
            return shard + 1

        return read_ahead(write, range(self.shards))

    def _write_picks(self, shard: int, rows: Indices, orders: Indices) -> None:
        field = QUERY_SCHEMA.field("order")
        covers = self.parts.read_table(part_name(shard, "covers"), QUERY_SCHEMA.names)
        picks = covers.take(rows)
        picks = picks.set_column(picks.schema.get_field_index("order"), field, pa.array(orders, field.type))
        self.parts.write_table(part_name(shard, "picks"), picks.select(QUERY_SCHEMA.names).cast(QUERY_SCHEMA))

    def _rows(self, kind: str) -> Iterator[int]:
        """Rows of the file of each shard."""
        return read_ahead(lambda shard: self.parts.count_rows(part_name(shard, kind)), range(self.shards))

    def _numbers(self) -> Iterator[pa.Table]:
        """The covers of each shard without their vectors."""
        columns = ["image_id", "score", "superpixel"]
        return read_ahead(
            lambda shard: self.parts.read_table(part_name(shard, "covers"), columns), range(self.shards)
        )

    def _vectors(self, shard: int, kind: str) -> Matrix:
        return matrix(self.parts.read_table(part_name(shard, kind), [FEATURES])[FEATURES])
