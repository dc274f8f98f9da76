"""Files of a folder read piece by piece, so that their size does not matter."""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.store.folder import Folder

PIECE = 2**20
"""Bytes read at a time."""


def sha256(folder: Folder, name: str) -> str:
    """The SHA-256 of a file, as hexadecimal digits; errors as for `Folder.read_bytes`."""
    digest = hashlib.sha256()
    with folder.stream(name) as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def row_groups(folder: Folder, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a Parquet file, one after another; errors as for `Folder.read_table`."""
    with folder.parquet(name) as file:
        for group in range(file.metadata.num_row_groups):
            yield file.read_row_group(group, columns)


def count_nulls(folder: Folder, name: str, column: str) -> int:
    """How many rows of a Parquet file have no value in a column."""
    return sum(table[column].null_count for table in row_groups(folder, name, [column]))


class AscendingRows:
    """A Parquet file whose rows ascend by a column of text, taken once, from the first row to the last.

    Args:
        folder: where the file is.
        name: the file.
        schema: the columns that are read, in their order.
        column: the one by which the rows ascend.
    """

    def __init__(self, folder: Folder, name: str, schema: pa.Schema, column: str = "image_id") -> None:
        self._groups = row_groups(folder, name, schema.names)
        self._waiting, self._column = schema.empty_table(), column

    def up_to(self, last: str) -> pa.Table:
        """The rows up to a value, without those that were taken before."""
        taken = []
        while True:
            fitting = pc.sum(pc.less_equal(self._waiting[self._column], last)).as_py() or 0
            taken.append(self._waiting.slice(0, fitting))
            self._waiting = self._waiting.slice(fitting)
            if self._waiting.num_rows:
                return pa.concat_tables(taken)
            following = next(self._groups, None)
            if following is None:
                return pa.concat_tables(taken)
            self._waiting = following
