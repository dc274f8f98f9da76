"""What shards leave until all are there: which are pending, and what is read back in which order."""

import pyarrow as pa

from atal_ray.runtime.shard_files import ShardFiles, part_name
from atal_ray.runtime.shards import shard_rows
from atal_ray.store.folder import Folder


def test_a_shard_is_pending_until_its_last_file_is_there(tmp_path):
    parts, rows = ShardFiles(Folder(str(tmp_path)), last="picks"), shard_rows(5, 2)
    assert parts.pending(rows) == rows
    parts.folder.write_table(part_name(0, "errors"), pa.table({"a": [1]}))
    parts.folder.write_table(part_name(1, "picks"), pa.table({"a": [1]}))
    assert parts.pending(rows) == [rows[0], rows[2]]


def test_json_can_be_the_last_file(tmp_path):
    parts, rows = ShardFiles(Folder(str(tmp_path)), last="sums", suffix="json"), shard_rows(3, 2)
    parts.folder.write_json(part_name(1, "sums", "json"), {"n": 7})
    assert parts.pending(rows) == rows[:1]
    assert list(parts.values("sums", [1])) == [{"n": 7}]


def test_tables_come_in_the_order_of_the_shards_asked_for(tmp_path):
    parts = ShardFiles(Folder(str(tmp_path)), last="picks")
    for shard in (2, 0, 1):
        parts.folder.write_table(part_name(shard, "picks"), pa.table({"a": [shard]}))
    assert [table["a"].to_pylist() for table in parts.tables("picks", [0, 1, 2])] == [[0], [1], [2]]
