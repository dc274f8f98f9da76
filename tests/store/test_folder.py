from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from atal_ray.errors import CampaignError
from atal_ray.store.folder import ROWS_PER_GROUP, UNFINISHED, Folder

SCHEMA = pa.schema([("image_id", pa.string()), ("number", pa.int64())])
ROWS = 2 * ROWS_PER_GROUP + 1234


class CutShortError(Exception):
    pass


def numbered(start: int, stop: int) -> pa.Table:
    return pa.table(
        {"image_id": [f"image-{n % 7}" for n in range(start, stop)], "number": list(range(start, stop))},
        schema=SCHEMA,
    )


@pytest.fixture
def local(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "deep" / "folder"))


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder on a file system that is not the local one, as an object store is."""
    (tmp_path / "bucket").mkdir()
    store = fs.SubTreeFileSystem(str(tmp_path / "bucket"), fs.LocalFileSystem())
    monkeypatch.setattr(Folder, "open", lambda self: (store, self.uri.removeprefix("store://")))
    return Folder("store://runs")


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest) -> Folder:
    chosen: Folder = request.getfixturevalue(request.param)
    return chosen


def test_bytes_and_json_come_back(folder: Folder) -> None:
    assert folder.names() == []
    assert not folder.exists("a.json")
    folder.write_json("a.json", {"x": [1, None, "é"]})
    (folder / "sub").write_bytes("b", b"\0\xff")
    assert folder.read_json("a.json") == {"x": [1, None, "é"]}
    assert (folder / "sub").read_bytes("b") == b"\0\xff"
    assert folder.names() == ["a.json", "sub"]
    folder.write_bytes("a.json", b"[]")  # a second write replaces the first
    assert folder.read_json("a.json") == []


def test_a_table_that_fails_half_way_leaves_no_file(folder: Folder) -> None:
    def tables() -> Iterator[pa.Table]:
        yield numbered(0, ROWS)
        raise CutShortError

    with pytest.raises(CutShortError):
        folder.write_tables("t.parquet", tables(), SCHEMA)
    assert not folder.exists("t.parquet")
    assert folder.names() == []


def test_a_table_that_fails_half_way_leaves_the_older_file(folder: Folder) -> None:
    folder.write_table("t.parquet", numbered(0, 5))
    with pytest.raises(pa.ArrowInvalid):
        folder.write_tables("t.parquet", [numbered(0, ROWS), pa.table({"other": [1]})], SCHEMA)
    assert folder.read_table("t.parquet") == numbered(0, 5)


def test_unfinished_files_are_invisible(tmp_path: Path) -> None:
    (tmp_path / f"{UNFINISHED}123-t.parquet").write_bytes(b"half a ta")
    (tmp_path / "whole").write_bytes(b"")
    assert Folder(str(tmp_path)).names() == ["whole"]


def test_a_reader_sees_no_file_before_it_is_whole(local: Folder) -> None:
    def tables() -> Iterator[pa.Table]:
        yield numbered(0, ROWS)
        assert not local.exists("t.parquet")
        assert local.names() == []
        yield numbered(ROWS, ROWS + 1)

    local.write_tables("t.parquet", tables(), SCHEMA)
    assert local.read_table("t.parquet").num_rows == ROWS + 1


@pytest.mark.parametrize(
    "cuts", [[], [1], [ROWS_PER_GROUP], [100, 100, 9000], [3000 * n for n in range(1, 6)]]
)
def test_equal_rows_give_equal_bytes_however_they_are_cut(folder: Folder, cuts: list[int]) -> None:
    folder.write_table("whole", numbered(0, ROWS))
    edges = [0, *cuts, ROWS]
    folder.write_tables("cut", (numbered(a, b) for a, b in pairwise(edges)), SCHEMA)
    assert folder.read_bytes("cut") == folder.read_bytes("whole")
    assert folder.read_table("cut") == numbered(0, ROWS)


def test_no_rows_make_a_table_with_columns(folder: Folder) -> None:
    folder.write_tables("none", [], SCHEMA)
    folder.write_table("empty", numbered(0, 0))
    for name in ("none", "empty"):
        assert folder.read_table(name) == numbered(0, 0)
        assert folder.count_rows(name) == 0


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 10),
        (ROWS_PER_GROUP - 3, ROWS_PER_GROUP),
        (ROWS_PER_GROUP - 3, ROWS_PER_GROUP + 4),
        (ROWS_PER_GROUP, ROWS_PER_GROUP + 1),
        (100, 2 * ROWS_PER_GROUP + 100),
        (2 * ROWS_PER_GROUP, ROWS),
        (0, ROWS),
        (5, 5),
    ],
)
def test_rows_equal_the_slice_of_the_whole_table(local: Folder, start: int, stop: int) -> None:
    pieces = [numbered(first, min(first + 3000, ROWS)) for first in range(0, ROWS, 3000)]
    local.write_tables("t.parquet", pieces, SCHEMA)
    assert local.read_rows("t.parquet", start, stop) == numbered(0, ROWS).slice(start, stop - start)


def test_rows_are_read_from_their_row_groups_alone(local: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    local.write_table("t.parquet", numbered(0, ROWS))
    asked: list[list[int]] = []
    read = pq.ParquetFile.read_row_groups

    def counted(file: pq.ParquetFile, groups: list[int]) -> pa.Table:
        asked.append(groups)
        return read(file, groups)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    local.read_rows("t.parquet", ROWS_PER_GROUP + 1, ROWS_PER_GROUP + 2)
    assert asked == [[1]]


def test_a_path_below_a_file_is_named_as_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for write in (lambda f: f.write_bytes("x", b"1"), lambda f: f.write_table("x", numbered(0, 1))):
        with pytest.raises(CampaignError, match=r"file/below/x cannot be written"):
            write(Folder(str(tmp_path / "file" / "below")))


def test_missing_and_damaged_files_are_named(folder: Folder) -> None:
    folder.write_bytes("t.parquet", b"PAR1 and then nothing")
    folder.write_bytes("t.json", b'{"x": ')
    with pytest.raises(CampaignError, match=r"none cannot be read"):
        folder.read_bytes("none")
    with pytest.raises(CampaignError, match=r"none cannot be read as a Parquet table"):
        folder.read_table("none")
    with pytest.raises(CampaignError, match=r"t\.parquet cannot be read as a Parquet table"):
        folder.read_rows("t.parquet", 0, 1)
    with pytest.raises(CampaignError, match=r"t\.json is not valid JSON"):
        folder.read_json("t.json")


def test_delete_takes_all_and_nothing_twice(folder: Folder) -> None:
    (folder / "sub" / "deeper").write_bytes("b", b"1")
    (folder / "sub").delete()
    (folder / "sub").delete()
    assert folder.names() == []


def test_uris_name_local_folders_too(tmp_path: Path) -> None:
    Folder(f"file://{tmp_path}/here").write_bytes("a", b"1")
    assert (Folder(str(tmp_path)) / "here").read_bytes("a") == b"1"
    assert Folder(f"file://{tmp_path}").uri == f"file://{tmp_path}"


def test_relative_paths_are_made_absolute_for_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Folder("runs/a").uri == str(tmp_path / "runs" / "a")


def test_rows_between_two_ids_come_from_their_row_groups_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = Folder(str(tmp_path)), [f"{number // 3:05d}" for number in range(3 * ROWS_PER_GROUP)]
    table = pa.table({"image_id": ids, "x": range(len(ids))})
    folder.write_table("points.parquet", table)
    read: list[int] = []
    whole = pq.ParquetFile.read_row_groups

    def counted(file: pq.ParquetFile, groups: list[int]) -> pa.Table:
        read.extend(groups)
        return whole(file, groups)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    for first, last in (("00000", "00004"), ("04000", "04001"), ("02729", "02731"), ("99999", "99999")):
        expected = [row for row in table.to_pylist() if first <= row["image_id"] <= last]
        assert folder.read_between("points.parquet", "image_id", first, last).to_pylist() == expected
    assert read == [0, 1, 0, 1]
    shuffled = table.take(np.random.default_rng(0).permutation(len(ids)))
    folder.write_table("points.parquet", shuffled)
    found = folder.read_between("points.parquet", "image_id", "00007", "00008").to_pylist()
    assert sorted(row["x"] for row in found) == list(range(21, 27))


def test_rows_between_of_an_empty_table_are_none(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write_table("points.parquet", pa.schema([("image_id", pa.string())]).empty_table())
    assert folder.read_between("points.parquet", "image_id", "a", "b").num_rows == 0


def test_a_copy_is_whole_under_its_new_name_and_stays_when_the_source_goes(folder: Folder) -> None:
    source, copied = folder / "source", folder / "copied"
    source.write_bytes("snapshot.pt", b"weights")
    for _ in range(2):  # a second time over the first
        copied.copy(source, "snapshot.pt", "1.pt")
    assert copied.names() == ["1.pt"]
    source.delete()
    assert copied.read_bytes("1.pt") == b"weights"
    with pytest.raises(CampaignError, match=r"source.*snapshot\.pt"):
        copied.copy(source, "snapshot.pt", "2.pt")
    assert copied.names() == ["1.pt"]


def test_on_one_disk_a_copy_is_the_same_file_and_elsewhere_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, copied = Folder(str(tmp_path / "source")), Folder(str(tmp_path / "copied"))
    source.write_bytes("a", b"weights")
    copied.copy(source, "a", "linked")
    assert (tmp_path / "copied/linked").samefile(tmp_path / "source/a")

    def refuse(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    copied.copy(source, "a", "written")
    assert copied.read_bytes("written") == b"weights"
    assert not (tmp_path / "copied/written").samefile(tmp_path / "source/a")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CampaignError, match="cannot be written"):
        Folder(str(tmp_path / "file/below")).copy(source, "a", "b")
