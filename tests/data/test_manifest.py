import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import MANIFEST_SCHEMA, Record, records, slice_rows
from atal_ray.errors import ChangedError, DataError
from atal_ray.runtime.progress_bar import tracked
from atal_ray.seeding import derive
from atal_ray.store.folder import Folder

Writer = Callable[..., Path]
Cutter = Callable[[Path], None]
STEMS = [f"s{index:02d}" for index in range(20)]


def ids(table: pa.Table) -> list[str]:
    return [str(image_id) for image_id in table["image_id"].to_pylist()]


@pytest.mark.parametrize("verify", [True, False])
def test_rows_are_sorted_and_hold_size_and_digest_of_each_file(dataset: Writer, verify: bool) -> None:
    root = dataset(stems=["b", "a"])
    manifest = build_manifest(root, verify=verify)
    assert manifest.table.schema.equals(MANIFEST_SCHEMA)
    assert (manifest.bad, manifest.layout) == ([], "images + masks")
    image, mask = "images/{}.jpg", "masks/{}.png"
    data = {
        name: (root / name).read_bytes() for stem in "ab" for name in (image.format(stem), mask.format(stem))
    }
    of_file = {
        name: (len(read), hashlib.blake2b(read, digest_size=16).digest()) for name, read in data.items()
    }
    assert manifest.table["image"].to_pylist() == [image.format(stem) for stem in "ab"]
    assert records(manifest.table, "/moved/here") == [
        Record(
            stem,
            f"/moved/here/{image.format(stem)}",
            f"/moved/here/{mask.format(stem)}",
            24,
            32,
            *of_file[image.format(stem)],
            *of_file[mask.format(stem)],
        )
        for stem in "ab"
    ]


def test_the_manifest_does_not_depend_on_where_the_folder_is(dataset: Writer, tmp_path: Path) -> None:
    dataset("here/images", "here/masks")
    (tmp_path / "there").mkdir()
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "scenes")
    assert build_manifest(tmp_path / "here").table == build_manifest(tmp_path / "there" / "scenes").table


@pytest.mark.parametrize("what", ["image", "mask"])
@pytest.mark.parametrize("size", [(24, 32), (25, 32)])
def test_a_file_that_was_replaced_is_refused_when_it_is_read(
    dataset: Writer, put: Writer, what: str, size: tuple[int, int]
) -> None:
    root = dataset(stems=["a"])
    (record,) = records(build_manifest(root).table, root)
    assert record.read_image().shape == (24, 32, 3)
    assert record.read_mask().shape == record.read_soft_mask().shape == (24, 32)
    name = f"{what}s/a.{'jpg' if what == 'image' else 'png'}"
    put(name, np.full((*size, 3) if what == "image" else size, 255, np.uint8))
    sentence = (
        rf"{root}/{name} is not the file that the campaign began with.*put the old file back.*`atal fork"
    )
    readers = [record.read_image] if what == "image" else [record.read_mask, record.read_soft_mask]
    for read in readers:
        with pytest.raises(ChangedError, match=sentence):
            read()
    (root / name).unlink()
    for read in readers:
        with pytest.raises(DataError, match=rf"{name} does not exist"):
            read()


def test_unlabelled_rows_have_no_mask(dataset: Writer) -> None:
    table = build_manifest(dataset("", None)).table
    assert table["mask"].null_count == 3


def test_limit_takes_the_smallest_hashes(dataset: Writer) -> None:
    root = dataset(stems=STEMS)
    expected = sorted(STEMS, key=lambda stem: derive("limit", stem))[:6]
    assert ids(build_manifest(root, limit=6).table) == sorted(expected)
    assert ids(build_manifest(root, limit=99).table) == STEMS


def test_only_the_chosen_files_are_read(dataset: Writer, cut_short: Cutter) -> None:
    root = dataset(stems=STEMS)
    chosen = sorted(STEMS, key=lambda stem: derive("limit", stem))[:6]
    for stem in set(STEMS) - set(chosen):
        cut_short(root / "images" / f"{stem}.jpg")
    assert len(build_manifest(root, limit=6).table) == 6


def test_subset_then_limit(dataset: Writer, tmp_path: Path) -> None:
    root = dataset("set/images", "set/masks", STEMS) / "set"
    subset = tmp_path / "subset.txt"
    subset.write_text("s03\n\n  s01 \ns07\r\ns01\n")
    assert ids(build_manifest(root, subset=subset).table) == ["s01", "s03", "s07"]
    expected = min(["s01", "s03", "s07"], key=lambda stem: derive("limit", stem))
    assert ids(build_manifest(root, subset=subset, limit=1).table) == [expected]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("s01\nghost\n", "1 of its 2 image ids is not in .*ghost"),
        ("\n", "is empty"),
        (None, "cannot be read"),
        ("s01.jpg", "s01.jpg"),
    ],
)
def test_bad_subsets(dataset: Writer, tmp_path: Path, text: str | None, sentence: str) -> None:
    root = dataset("set/images", "set/masks", STEMS) / "set"
    subset = tmp_path / "subset.txt"
    if text is not None:
        subset.write_text(text)
    with pytest.raises(DataError, match=f"subset.txt.*{sentence}"):
        build_manifest(root, subset=subset)


def test_bad_files_are_refused_by_name(dataset: Writer, put: Writer, cut_short: Cutter) -> None:
    root = dataset(stems=STEMS)
    cut_short(root / "images" / "s02.jpg")
    put("masks/s05.png", np.zeros((10, 11), np.uint8))
    (root / "masks" / "s07.png").unlink()
    with pytest.raises(DataError) as caught:
        build_manifest(root)
    message = str(caught.value)
    assert "3 bad files" in message
    assert "images/s02.jpg cannot be decoded" in message
    assert "masks/s05.png is 11x10 pixels, but its image is 32x24" in message
    assert "images/s07.jpg has no mask" in message
    assert f"atal data check {root}" in message
    assert "--data.on-bad-file skip" in message


def test_bad_files_are_skipped_and_listed(dataset: Writer, put: Writer, cut_short: Cutter) -> None:
    root = dataset(stems=STEMS)
    cut_short(root / "masks" / "s02.png")
    put("masks/s05.png", np.zeros((10, 11), np.uint8))
    (root / "images" / "s07.jpg").unlink()
    manifest = build_manifest(root, on_bad_file="skip")
    found = [(item.image_id, item.file, item.kind) for item in manifest.bad]
    assert found == [
        ("s02", "masks/s02.png", "unreadable"),
        ("s05", "masks/s05.png", "size mismatch"),
        ("s07", "masks/s07.png", "mask without image"),
    ]
    assert ids(manifest.table) == [stem for stem in STEMS if stem not in ("s02", "s05", "s07")]


def test_headers_alone_do_not_show_a_truncated_file(dataset: Writer, cut_short: Cutter) -> None:
    root = dataset()
    cut_short(root / "images" / "a.jpg")
    assert len(build_manifest(root, verify=False).table) == 3
    with pytest.raises(DataError, match=r"images/a\.jpg"):
        build_manifest(root, verify=True)


def test_many_bad_files_are_counted_not_all_named(dataset: Writer) -> None:
    root = dataset(stems=STEMS)
    for stem in STEMS[:15]:
        (root / "masks" / f"{stem}.png").unlink()
    with pytest.raises(DataError, match=r"15 bad files(?s:.*)s09\.jpg has no mask\n  \.\.\. and 5 more"):
        build_manifest(root)


@pytest.mark.parametrize("on_bad_file", ["refuse", "skip"])
def test_duplicate_stems_are_always_refused(dataset: Writer, tmp_path: Path, on_bad_file: str) -> None:
    dataset()
    dataset("images", None, ["b"], ".png")
    with pytest.raises(DataError, match=r"images/b\.png has the same stem as b\.jpg"):
        build_manifest(tmp_path, on_bad_file=on_bad_file)


def test_nothing_left_is_an_error(dataset: Writer, cut_short: Cutter) -> None:
    root = dataset(stems=["a"])
    cut_short(root / "images" / "a.jpg")
    with pytest.raises(DataError, match="none of its images can be used"):
        build_manifest(root, on_bad_file="skip")


def test_round_trip_and_slices(dataset: Writer, tmp_path: Path) -> None:
    table = build_manifest(dataset("set/images", None, STEMS)).table
    folder = Folder(str(tmp_path))
    folder.write_table("manifest.parquet", table)
    back = folder.read_table("manifest.parquet")
    assert back.equals(table)
    assert [record.image_id for record in slice_rows(back, 18, 25, "/")] == ["s18", "s19"]
    assert slice_rows(back, 5, 5, "/") == []
    parts = [slice_rows(back, start, start + 6, "/") for start in range(0, 20, 6)]
    assert [record for part in parts for record in part] == records(back, "/")


def test_a_progress_bar_counts_every_image(dataset: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    build_manifest(dataset())
    assert capsys.readouterr().err == ""
    build_manifest(dataset(), track=partial(tracked, title="checking images", unit="image"))
    assert "checking images: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ECSSD", "DUTS-TR"])
def test_real_images(shared: Path, name: str) -> None:
    manifest = build_manifest(shared / "data" / name, limit=5)
    assert (manifest.layout, len(manifest.table), manifest.bad) == (name, 5, [])
    assert ids(build_manifest(shared / "data" / name, limit=3, verify=False).table) == sorted(
        sorted(ids(manifest.table), key=lambda image_id: derive("limit", image_id))[:3]
    )
