"""Files read piece by piece say what the whole ones do."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.errors import CampaignError
from atal_ray.store import folder as folders
from atal_ray.store import streamed
from atal_ray.store.folder import Folder
from atal_ray.store.streamed import AscendingRows, count_nulls, row_groups, sha256

SCHEMA = pa.schema([pa.field("image_id", pa.string()), pa.field("number", pa.int32())])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Row groups of five rows, and pieces of seven bytes."""
    monkeypatch.setattr(folders, "ROWS_PER_GROUP", 5)
    monkeypatch.setattr(streamed, "PIECE", 7)
    return Folder(str(tmp_path))


def ascending(counts: list[int]) -> pa.Table:
    """So many rows of each image in turn."""
    ids = [f"image-{number:02d}" for number, count in enumerate(counts) for _ in range(count)]
    return pa.table({"image_id": ids, "number": np.arange(len(ids), dtype=np.int32)}, schema=SCHEMA)


def test_a_digest_is_that_of_the_whole_file(folder: Folder) -> None:
    for data in (b"", b"seven b", b"more than seven bytes"):
        folder.write_bytes("a", data)
        assert sha256(folder, "a") == hashlib.sha256(data).hexdigest()
    with pytest.raises(CampaignError, match=r"gone cannot be read"):
        sha256(folder, "gone")


def test_row_groups_are_the_table(folder: Folder) -> None:
    table = ascending([2, 9, 1])
    folder.write_table("t", table)
    groups = list(row_groups(folder, "t", ["number"]))
    assert [group.num_rows for group in groups] == [5, 5, 2]
    assert pa.concat_tables(groups).equals(table.select(["number"]))
    folder.write_table("empty", table.slice(0, 0))
    assert list(row_groups(folder, "empty")) == []


def test_nulls_are_counted_over_all_groups(folder: Folder) -> None:
    folder.write_table("t", pa.table({"mask": ["a", None] * 6}))
    assert count_nulls(folder, "t", "mask") == 6


@pytest.mark.parametrize("counts", [[], [1], [3, 0, 12, 5, 0, 5, 1], [0, 20], [5, 5, 5]])
def test_each_row_is_taken_once_and_with_its_image(folder: Folder, counts: list[int]) -> None:
    table = ascending(counts)
    folder.write_table("t", table)
    rows, taken = AscendingRows(folder, "t", SCHEMA), []
    for number in range(0, len(counts) + 2, 2):
        last = f"image-{number:02d}"
        taken.append(rows.up_to(last))
        assert set(taken[-1]["image_id"].to_pylist()) <= {f"image-{number - 1:02d}", last}
    assert pa.concat_tables([SCHEMA.empty_table(), *taken]).equals(table)
