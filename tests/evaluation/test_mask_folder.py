import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atal_ray.data.layout import LAYOUTS
from atal_ray.errors import DataError
from atal_ray.evaluation.mask_folder import find_masks

Writer = Callable[..., Path]
MASK = np.eye(8, dtype=np.uint8) * 255


@pytest.mark.parametrize(("name", "image", "mask"), LAYOUTS)
@pytest.mark.parametrize("depth", ["", "outer/"])
def test_known_layouts_with_and_without_their_images(
    dataset: Writer, name: str, image: str, mask: str, depth: str
) -> None:
    root = dataset(depth + image.upper(), depth + mask.upper())
    whole = find_masks(root)
    assert (whole.root, whole.layout, whole.problems) == (root.resolve(), name, ())
    assert list(whole.masks) == ["a", "b", "c"]
    assert {path.suffix for path in whole.masks.values()} == {".png"}
    shutil.rmtree(root / depth / image.upper())
    alone = find_masks(root)
    assert (alone.masks, alone.problems) == (whole.masks, ())


@pytest.mark.parametrize("folder", ["", "masks", "pixel_GT", "holiday"])
def test_a_folder_of_nothing_but_masks(put: Writer, tmp_path: Path, folder: str) -> None:
    for stem in "ba":
        put(f"set/{folder}/{stem}.png", MASK)
    listing = find_masks(tmp_path / "set")
    assert {stem: path.relative_to(listing.root).as_posix() for stem, path in listing.masks.items()} == {
        stem: f"{folder}/{stem}.png".lstrip("/") for stem in "ab"
    }
    assert listing.problems == ()


@pytest.mark.parametrize(("image", "mask"), [("", ""), ("one", "two"), ("photos", "pixel_gt")])
def test_layouts_without_a_name_are_read_as_pairs(dataset: Writer, image: str, mask: str) -> None:
    listing = find_masks(dataset(image, mask))
    assert list(listing.masks) == ["a", "b", "c"]
    assert {path.suffix for path in listing.masks.values()} == {".png"}


@pytest.mark.parametrize(("image", "mask"), [("ECSSD/images", "ECSSD/ground_truth_mask"), ("one", "two")])
def test_what_the_images_lack_is_no_problem_of_the_masks(
    dataset: Writer, tmp_path: Path, image: str, mask: str
) -> None:
    dataset(image, mask)
    (tmp_path / image / "a.jpg").unlink()
    (tmp_path / mask / "b.png").unlink()
    shutil.copy(tmp_path / image / "c.jpg", tmp_path / image / "c.png")
    listing = find_masks(tmp_path)
    assert (list(listing.masks), listing.problems) == (["a", "c"], ())


@pytest.mark.parametrize(("image", "mask"), [("images", "masks"), ("one", "two"), (None, "")])
def test_two_masks_of_one_stem_are_a_problem(
    dataset: Writer, put: Writer, tmp_path: Path, image: str | None, mask: str
) -> None:
    if image:
        dataset(image, mask)
    else:
        for stem in "abc":
            put(f"{mask}/{stem}.png".lstrip("/"), MASK)
    put(f"{mask}/a.bmp".lstrip("/"), MASK)
    listing = find_masks(tmp_path)
    (item,) = listing.problems
    assert (item.kind, item.image_id, item.file) == ("duplicate stem", "a", f"{mask}/a.png".lstrip("/"))
    assert list(listing.masks) == ["b", "c"]


def test_links_may_stay_inside_but_not_leave(put: Writer, tmp_path: Path) -> None:
    secret = put("secret.png", MASK)
    put("set/masks/a.png", MASK)
    for folder in (tmp_path / "set", tmp_path / "set" / "masks"):
        shutil.rmtree(tmp_path / "linked", ignore_errors=True)
        shutil.copytree(folder, tmp_path / "linked")
        place = tmp_path / "linked" / "masks" if folder.name == "set" else tmp_path / "linked"
        (place / "inside.png").symlink_to("a.png")
        (place / "outside.png").symlink_to(secret)
        listing = find_masks(tmp_path / "linked")
        assert list(listing.masks) == ["a", "inside"]
        assert [(item.kind, item.image_id) for item in listing.problems] == [("link outside", "outside")]


def test_a_linked_folder_of_masks_is_refused(put: Writer, tmp_path: Path) -> None:
    put("elsewhere/a.png", MASK)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "masks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        DataError, match=r"masks is a link to .*elsewhere, outside of .*set: give the folder it points into"
    ):
        find_masks(tmp_path / "set")


def test_strangers_are_passed_over_and_bad_names_are_problems(put: Writer, tmp_path: Path) -> None:
    put("masks/a.png", MASK)
    for name in ("Thumbs.db", "README.txt", "._a.png", os.fsdecode(b"caf\xe9.png")):
        (tmp_path / "masks" / name).write_bytes(b"x")
    listing = find_masks(tmp_path)
    assert list(listing.masks) == ["a"]
    assert [item.kind for item in listing.problems] == ["unusable name"]


def test_masks_in_colours_are_no_photographs(put: Writer, tmp_path: Path) -> None:
    put("a.png", np.dstack([MASK, MASK * 0, MASK * 0]))
    image = Image.fromarray(MASK // 255)
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"damaged")
    assert list(find_masks(tmp_path).masks) == ["a", "b", "c"]


def test_photographs_are_not_taken_for_masks(dataset: Writer, tmp_path: Path) -> None:
    dataset("images", None)
    for folder in (tmp_path, tmp_path / "images"):
        with pytest.raises(
            DataError,
            match=r"holds photographs \(a\.jpg\), not masks: give the dataset or its folder of masks",
        ):
            find_masks(folder)


def test_folders_that_cannot_be_read(put: Writer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "masks").mkdir(parents=True)
    put("file.png", MASK)
    for path in (
        "many/DUTS-TE/DUTS-TE-Mask",
        "many/ECSSD/ground_truth_mask",
        "two/gt",
        "two/masks",
        "three/gt-hard",
        "three/gt-soft",
    ):
        put(f"{path}/a.png", MASK)
    for name, sentence in {
        "none": "none does not exist: give the folder that holds the masks",
        "file.png": "is a file: give the folder that holds the masks",
        "empty": "holds no images",
        "hollow": "holds no images",
        "many": r"several folders of masks \(DUTS-TE/DUTS-TE-Mask, ECSSD/ground_truth_mask\): give one of",
        "two": r"several folders of masks \(gt, masks\)",
        "three": r"several folders of masks \(gt-hard, gt-soft\)",
    }.items():
        with pytest.raises(DataError, match=sentence):
            find_masks(tmp_path / name)


def test_a_layout_with_its_images_wins_over_other_masks(dataset: Writer, put: Writer, tmp_path: Path) -> None:
    dataset("imgs", "gt")
    put("masks/other.png", MASK)
    assert list(find_masks(tmp_path).masks) == ["a", "b", "c"]


def test_the_real_test_set_through_both_of_its_folders(shared: Path) -> None:
    root = shared / "data" / "ECSSD"
    whole, alone = find_masks(root), find_masks(root / "ground_truth_mask")
    assert (whole.layout, len(whole.masks), whole.problems) == ("ECSSD", 1000, ())
    assert whole.masks == alone.masks
    with pytest.raises(DataError, match="holds photographs"):
        find_masks(root / "images")
