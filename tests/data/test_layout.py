import os
from collections.abc import Callable
from pathlib import Path

import pytest

from atal_ray.data.layout import LAYOUTS, find_pairs
from atal_ray.errors import DataError

Writer = Callable[..., Path]


@pytest.mark.parametrize(("name", "image", "mask"), LAYOUTS)
@pytest.mark.parametrize("depth", ["", "outer/"])
@pytest.mark.parametrize("case", [str, str.lower, str.upper])
def test_known_layouts(
    dataset: Writer, name: str, image: str, mask: str, depth: str, case: Callable[[str], str]
) -> None:
    listing = find_pairs(dataset(depth + case(image), depth + case(mask)))
    assert (listing.layout, listing.labelled, listing.problems) == (name, True, ())
    assert sorted(listing.images) == sorted(listing.masks) == ["a", "b", "c"]
    assert {path.suffix for path in listing.images.values()} == {".jpg"}
    assert {path.suffix for path in listing.masks.values()} == {".png"}


@pytest.mark.parametrize("folder", ["Imgs", "images", ""])
def test_jpeg_images_mixed_with_their_png_masks(dataset: Writer, folder: str) -> None:
    listing = find_pairs(dataset(folder, folder))
    assert (listing.layout, listing.labelled, listing.problems) == ("PASCAL-S", True, ())
    assert {path.suffix for path in listing.images.values()} == {".jpg"}
    assert sorted(listing.masks) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("image", "mask"), [("photos", "pixel_gt"), ("background", "GroundTruth"), ("one", "two"), ("two", "one")]
)
def test_two_folders_of_equal_stems(dataset: Writer, image: str, mask: str) -> None:
    listing = find_pairs(dataset(image, mask, suffix=".png"))
    assert listing.layout == f"{image} + {mask}"
    assert {path.parent.name for path in listing.masks.values()} == {mask}


@pytest.mark.parametrize("folder", ["", "images", "holiday"])
def test_unlabelled_images(dataset: Writer, folder: str) -> None:
    listing = find_pairs(dataset(folder, None))
    assert (listing.layout, listing.labelled, listing.masks, listing.problems) == (
        "images alone",
        False,
        {},
        (),
    )
    assert sorted(listing.images) == ["a", "b", "c"]


def test_other_files_are_passed_over(dataset: Writer) -> None:
    root = dataset()
    (root / "images" / "Thumbs.db").write_text("x")
    (root / "images" / "._a.jpg").write_text("x")
    (root / "list.txt").write_text("a")
    (root / "notes").mkdir()
    (root / "__MACOSX").mkdir()
    assert sorted(find_pairs(root).images) == ["a", "b", "c"]


def test_missing_partners_are_problems(dataset: Writer) -> None:
    root = dataset()
    (root / "masks" / "a.png").unlink()
    (root / "images" / "b.jpg").unlink()
    problems = {(item.kind, item.image_id, item.file) for item in find_pairs(root).problems}
    assert problems == {
        ("image without mask", "a", "images/a.jpg"),
        ("mask without image", "b", "masks/b.png"),
    }


def test_an_empty_folder_of_masks_leaves_every_image_without(dataset: Writer) -> None:
    root = dataset(mask=None)
    (root / "masks").mkdir()
    assert [item.kind for item in find_pairs(root).problems] == ["image without mask"] * 3


def test_duplicate_stems_are_problems(dataset: Writer, tmp_path: Path) -> None:
    dataset("images", "masks")
    dataset("images", None, stems=["a"], suffix=".png")
    (item,) = find_pairs(tmp_path).problems
    assert (item.kind, item.image_id, item.file) == ("duplicate stem", "a", "images/a.png")
    assert "a.jpg" in item.reason


def test_two_photos_of_one_stem_in_a_flat_folder_are_no_pair(dataset: Writer, tmp_path: Path) -> None:
    dataset("", None)
    dataset("", None, stems=["a"], suffix=".png")
    listing = find_pairs(tmp_path)
    assert not listing.labelled
    assert [item.kind for item in listing.problems] == ["duplicate stem"]


def test_links_may_stay_inside_but_not_leave(dataset: Writer, tmp_path: Path) -> None:
    root = dataset("set/images", "set/masks") / "set"
    (root / "images" / "inside.jpg").symlink_to(root / "images" / "a.jpg")
    (root / "masks" / "inside.png").symlink_to("a.png")
    (tmp_path / "secret.jpg").write_bytes((root / "images" / "a.jpg").read_bytes())
    (root / "images" / "outside.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "door").symlink_to(root)
    for folder in (root, tmp_path / "door"):
        listing = find_pairs(folder)
        assert sorted(listing.images) == ["a", "b", "c", "inside"]
        assert [(item.kind, item.file) for item in listing.problems] == [
            ("link outside", "images/outside.jpg")
        ]


def test_a_linked_subfolder_is_refused(dataset: Writer, tmp_path: Path) -> None:
    dataset("elsewhere", "set/masks")
    (tmp_path / "set" / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"images is a link to .*elsewhere, outside"):
        find_pairs(tmp_path / "set")


def test_names_that_are_not_text_are_problems(dataset: Writer) -> None:
    root = dataset("", None)
    (root / "new\nline.jpg").write_bytes(b"x")
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    (root / "naïve 画像.jpg").write_bytes(b"x")
    listing = find_pairs(root)
    assert [item.kind for item in listing.problems] == ["unusable name"] * 2
    assert all(item.file.isascii() for item in listing.problems)
    assert "naïve 画像" in listing.images


def test_folders_that_cannot_be_read(dataset: Writer, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "images").mkdir(parents=True)
    (tmp_path / "hollow" / "masks").mkdir()
    dataset("masks-only/masks", None)
    for name, sentence in [
        ("none", "does not exist"),
        ("file.txt", "is a file"),
        ("empty", "holds no images"),
        ("hollow", "folder of images is empty"),
        ("masks-only", "no folder of images"),
    ]:
        with pytest.raises(DataError, match=f"{name}.*{sentence}"):
            find_pairs(tmp_path / name)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (
            [("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"), ("ECSSD/images", "ECSSD/ground_truth_mask")],
            "several folders.*DUTS-TR, ECSSD",
        ),
        ([("images", "masks"), ("imgs", "gt")], "HKU-IS or as images \\+ masks"),
        ([("images", None), ("Images", "masks")], "differ in case only"),
        ([("one", None), ("two", None)], "is one or two the folder of masks"),
        ([("", None), ("things", None)], "beside folders of images"),
    ],
)
def test_ambiguous_folders(
    dataset: Writer, tmp_path: Path, pairs: list[tuple[str, str | None]], sentence: str
) -> None:
    for image, mask in pairs:
        dataset(image, mask)
    with pytest.raises(DataError, match=sentence):
        find_pairs(tmp_path)


def test_real_datasets(shared: Path) -> None:
    duts, ecssd = find_pairs(shared / "data" / "DUTS-TR"), find_pairs(shared / "data" / "ECSSD")
    assert (duts.layout, len(duts.images), len(duts.masks), duts.problems) == ("DUTS-TR", 10553, 10553, ())
    assert (ecssd.layout, len(ecssd.images), len(ecssd.masks), ecssd.problems) == ("ECSSD", 1000, 1000, ())
    with pytest.raises(DataError, match="DUTS-TR, ECSSD"):
        find_pairs(shared / "data")
