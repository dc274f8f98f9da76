from pathlib import Path

import numpy as np
from cover_parts import CHANNELS, cover_files

from atal_ray.campaign.query.covers import FEATURES, matrix
from atal_ray.labels.points import QUERY_SCHEMA

SHARDS = [["a", "a", "b"], [], ["c", "d", "d", "d"]]


def test_candidates_are_numbered_through(tmp_path: Path) -> None:
    files = cover_files(tmp_path, SHARDS)
    covers = files.covers()
    assert files.starts.tolist() == [0, 3, 3, 7]
    assert files.candidates == len(covers.score) == 7
    assert covers.image.tolist() == [0, 0, 1, 2, 3, 3, 3]
    assert files.labelled_points == 0 + 1 + 2
    assert [len(features) for features in files.labelled_features()] == [0, 1, 2]


def test_vectors_come_in_the_order_asked_for(tmp_path: Path) -> None:
    files = cover_files(tmp_path, SHARDS)
    tables = [files.parts.read_table(f"{shard:06d}.covers.parquet") for shard in range(3)]
    everything = np.concatenate([matrix(table[FEATURES]) for table in tables])
    assert everything.shape == (7, CHANNELS)
    for rows in ([6, 0, 3, 2], [4], [], [1, 1]):
        asked = np.array(rows, np.int64)
        assert (files.covers().features(asked) == everything[asked]).all()


def test_only_the_shards_that_are_asked_for_are_read(tmp_path: Path) -> None:
    files = cover_files(tmp_path, SHARDS)
    covers, _ = files.covers(), files.channels
    (Path(files.parts.uri) / "000002.covers.parquet").unlink()
    assert covers.features(np.array([2, 0])).shape == (2, CHANNELS)


def test_picks_are_written_by_shard_with_their_order(tmp_path: Path) -> None:
    files = cover_files(tmp_path, SHARDS)
    assert list(files.write_picks(np.array([1, 0, 2, 6]), np.array([0, 1, 0, 0]))) == [1, 2, 3]
    picks = [files.parts.read_table(f"{shard:06d}.picks.parquet") for shard in range(3)]
    assert all(table.schema.equals(QUERY_SCHEMA) for table in picks)
    assert [table["x"].to_pylist() for table in picks] == [[1, 0, 2], [], [3]]
    assert [table["order"].to_pylist() for table in picks] == [[0, 1, 0], [], [0]]
