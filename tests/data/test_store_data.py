"""Images and masks in a bucket are read as those on disk are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stores import Store

from atal_ray.data.check import check_folder
from atal_ray.data.images import read_image, read_mask, read_size
from atal_ray.data.layout import find_pairs
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import records
from atal_ray.errors import DataError, StoreError
from atal_ray.store import s3 as s3_clients
from atal_ray.store import uri as stores


@pytest.fixture(scope="module")
def uri(s3: Store, synth_folder: Path) -> str:
    """The eight drawn images in a bucket."""
    return s3.upload(synth_folder, "sets/scenes one")


def test_the_manifest_is_that_of_the_folder(uri: str, synth_folder: Path) -> None:
    remote, local = build_manifest(uri), build_manifest(synth_folder)
    assert remote.layout == local.layout == "images + masks"
    assert remote.table == local.table
    assert not remote.bad
    rows = zip(records(remote.table, uri), records(local.table, synth_folder), strict=True)
    for far, near in rows:
        assert far.image == stores.join(stores.join(uri, "images"), Path(near.image).name)
        np.testing.assert_array_equal(far.read_image(), read_image(near.image))
        np.testing.assert_array_equal(far.read_mask(), read_mask(str(near.mask)))
        assert read_size(far.image) == (near.height, near.width)


@pytest.mark.parametrize(
    "layout", [("DUTS-TR-Image", "DUTS-TR-Mask"), ("deep/imgs", "deep/gt"), ("all", "all"), ("images", None)]
)
def test_layouts_are_found_in_a_bucket(
    s3: Store, dataset: Callable[..., Path], layout: tuple[str, str | None]
) -> None:
    local = find_pairs(dataset(*layout))
    remote = find_pairs(s3.upload(local.root.local_path, "set"))
    assert (remote.layout, remote.labelled, remote.problems) == (local.layout, local.labelled, local.problems)
    for far, near in ((remote.images, local.images), (remote.masks, local.masks)):
        assert {stem: path.relative_to(remote.root) for stem, path in far.items()} == {
            stem: path.relative_to(local.root) for stem, path in near.items()
        }


def test_defects_are_named_below_the_folder(
    s3: Store, dataset: Callable[..., Path], cut_short: Callable[[Path], None]
) -> None:
    folder = dataset()
    cut_short(folder / "images" / "a.jpg")
    (folder / "masks" / "b.png").unlink()
    remote, local = (
        check_folder(s3.upload(folder, "set")),
        check_folder(folder),
    )
    assert [(item.kind, item.file) for item in remote.findings] == [
        (item.kind, item.file) for item in local.findings
    ]
    assert "images/a.jpg cannot be decoded" in remote.render()
    with pytest.raises(DataError, match=r"2 bad files:\n  images/a\.jpg cannot be decoded"):
        build_manifest(remote.folder)


def test_a_subset_may_lie_in_a_bucket(s3: Store, uri: str) -> None:
    lists = s3.folder()
    lists.write_bytes("some.txt", b"scene-0003\nscene-0001\n")
    assert build_manifest(uri, subset=lists.where("some.txt")).table["image_id"].to_pylist() == [
        "scene-0001",
        "scene-0003",
    ]
    with pytest.raises(DataError, match=r"none\.txt.* cannot be read as a list of image ids"):
        build_manifest(uri, subset=lists.where("none.txt"))


def test_what_is_not_there_is_named(s3: Store, uri: str) -> None:
    with pytest.raises(
        DataError, match=r"scenes%20two\?.* does not exist: give the folder that holds the images"
    ):
        build_manifest(uri.replace("scenes one", "scenes%20two"))
    image = str(next(iter(find_pairs(uri).images.values())))
    with pytest.raises(DataError, match="is a file: give the folder"):
        build_manifest(image)
    with pytest.raises(DataError, match=r"none\.jpg.* does not exist"):
        read_image(stores.join(uri, "none.jpg"))
    with pytest.raises(DataError, match="does not exist"):
        check_folder(s3.uri("no-such-bucket/set"))


def test_a_store_that_is_away_spoils_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_clients, "ATTEMPTS", 1)
    away = stores.join("s3://images/set?endpoint_override=127.0.0.1:9&scheme=http", "a.jpg")
    with pytest.raises(StoreError, match="cannot be read: the store cannot be reached"):
        read_image(away)


def test_images_share_one_client(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build_manifest(uri)
    monkeypatch.setattr(s3_clients.Bucket, "file_system", lambda _: pytest.fail("a client for each image"))
    assert len(build_manifest(uri).table) == 8


def test_local_paths_do_not_touch_stores(synth_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "open_uri", lambda *_: pytest.fail("a store for a path"))
    assert len(build_manifest(synth_folder).table) == 8
