"""The files that shards leave until all of them are there: what is finished is never done again after an
interruption.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from atal_ray.runtime.shards import Row
from atal_ray.store.folder import Folder


def part_name(shard: int, kind: str, suffix: str = "parquet") -> str:
    """The file in which a shard leaves what it has of one kind."""
    return f"{shard:06d}.{kind}.{suffix}"


@dataclass(frozen=True)
class ShardFiles:
    """A folder of such files.

    Args:
        folder: where they lie.
        last: the kind that a shard writes last, after which the shard is done.
        suffix: of that kind's files.
    """

    folder: Folder
    last: str
    suffix: str = "parquet"

    def pending(self, rows: Sequence[Row]) -> list[Row]:
        """The shards that are not done."""
        finished = set(self.folder.names())
        return [row for row in rows if part_name(row["shard"], self.last, self.suffix) not in finished]

    def tables(self, kind: str, shards: Sequence[int]) -> Iterator[pa.Table]:
        """What each of these shards left of one kind, one table after another."""
        return (self.folder.read_table(part_name(shard, kind)) for shard in shards)

    def values(self, kind: str, shards: Sequence[int]) -> Iterator[Any]:
        """What each of these shards left as JSON of one kind."""
        return (self.folder.read_json(part_name(shard, kind, "json")) for shard in shards)
