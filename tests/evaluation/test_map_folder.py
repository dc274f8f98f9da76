import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atal_ray.errors import DataError
from atal_ray.evaluation.map_folder import MAP_SUFFIXES, match_maps
from atal_ray.evaluation.maps import read_map


def fill(folder: Path, *names: str) -> Path:
    """Files that listings look at by name only."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_maps_are_matched_by_stem_alone(tmp_path: Path) -> None:
    fill(tmp_path, "b.PNG", "a.npy", "c.v2.jpg", "D.png", "stray.tif")
    listing = match_maps(["c.v2", "b", "d", "a"], tmp_path)
    assert {stem: path.name for stem, path in listing.maps.items()} == {
        "c.v2": "c.v2.jpg",
        "b": "b.PNG",
        "a": "a.npy",
    }
    assert list(listing.maps) == ["c.v2", "b", "a"]
    assert (listing.missing, listing.extra, listing.problems) == (("d",), ("D.png", "stray.tif"), ())
    assert listing.root == tmp_path.resolve()


def test_files_that_are_no_map_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "README.txt", "Thumbs.db", ".hidden.png", "._a.png", "scores.csv")
    fill(tmp_path / "__MACOSX", "a.png")
    listing = match_maps({"a": 0}, tmp_path)
    assert (list(listing.maps), listing.missing, listing.extra, listing.problems) == (["a"], (), (), ())


def test_two_maps_of_one_mask_are_a_problem(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.npy", "b.png", "x.png", "x.jpg")
    listing = match_maps(["a", "b"], tmp_path)
    (item,) = listing.problems
    assert (item.kind, item.image_id, item.file) == ("duplicate stem", "a", "a.png")
    assert "a.npy" in item.reason
    assert (list(listing.maps), listing.missing, listing.extra) == (["b"], (), ("x.jpg", "x.png"))


def test_maps_outside_of_the_folder_are_a_problem(tmp_path: Path) -> None:
    fill(tmp_path, "secret.png")
    root = fill(tmp_path / "maps", "a.png")
    for name, target in {"b.png": "a.png", "c.png": "../secret.png", "x.png": "../secret.png"}.items():
        (root / name).symlink_to(target)
    (tmp_path / "door").symlink_to(root)
    for folder in (root, tmp_path / "door"):
        listing = match_maps(["a", "b", "c"], folder)
        assert [(item.kind, item.image_id, item.file) for item in listing.problems] == [
            ("link outside", "c", "c.png")
        ]
        assert str(root.resolve()) in listing.problems[0].reason
        assert (list(listing.maps), listing.missing, listing.extra) == (["a", "b"], (), ("x.png",))


def test_names_that_are_not_text_are_a_problem(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "new\nline.png", os.fsdecode(b"caf\xe9.png"))
    listing = match_maps(["a"], tmp_path)
    assert [(item.kind, item.file.isascii()) for item in listing.problems] == [("unusable name", True)] * 2
    assert (list(listing.maps), listing.extra) == (["a"], ())


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("{}_sal", "STEM_sal"),
        ("sal_{}_fuse", "sal_STEM_fuse"),
        ("pred-{}", "pred-STEM"),
        ("{0}.png", "STEM.png"),
    ],
)
def test_another_naming_of_the_maps_is_said_in_one_sentence(tmp_path: Path, pattern: str, named: str) -> None:
    ids = [str(number) for number in range(1, 31)]
    fill(tmp_path, "1.png", *(f"{pattern.format(mask_id)}.png" for mask_id in ids[1:]))
    sentence = f"maps are named {named} (map {pattern.format('2')}, mask 2): rename them"
    with pytest.raises(DataError) as caught:
        match_maps(ids, tmp_path)
    assert sentence in str(caught.value)


def test_another_naming_of_the_masks_is_said_too(tmp_path: Path) -> None:
    fill(tmp_path, "0001.png", "0002.png", "0003.png")
    with pytest.raises(
        DataError, match=r"masks are named STEM_gt \(mask 0001_gt, map 0001\): rename the maps"
    ):
        match_maps(["0001_gt", "0002_gt", "0003_gt"], tmp_path)


def test_a_few_look_alikes_leave_the_missing_ones_listed(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b_sal.png", "c_sal.png")
    listing = match_maps(["a", "b", "c", "d", "e", "f"], tmp_path)
    assert listing.missing == ("b", "c", "d", "e", "f")
    assert listing.extra == ("b_sal.png", "c_sal.png")


def test_folders_without_maps_say_what_they_hold(tmp_path: Path) -> None:
    fill(tmp_path / "other", *(f"x{number}.png" for number in range(5)))
    fill(tmp_path / "deep" / "ECSSD", "a.png")
    fill(tmp_path / "text", "a.mat")
    fill(tmp_path, "file.zip")
    for name, sentence in {
        "other": r"no map of any of the 2 masks but x0\.png, x1\.png, x2\.png, \.\.\.: "
        r"a map has the stem of its mask, such as a\.png",
        "deep": "no map of any of the 2 masks but the folders ECSSD: give the one that holds the maps",
        "text": r"no map of any of the 2 masks: "
        r"a map is an image or \.npy file with the stem of its mask, such as a\.png",
        "none": "does not exist: give the folder that holds the saliency maps",
        r"file\.zip": "is a file: give the folder that holds the saliency maps",
    }.items():
        with pytest.raises(DataError, match=f"{name} .*{sentence}"):
            match_maps(["a", "b"], tmp_path / name.replace("\\", ""))


def test_every_suffix_that_is_listed_can_be_read(tmp_path: Path) -> None:
    ids = [suffix[1:] for suffix in sorted(MAP_SUFFIXES)]
    for name in ids:
        pixels = np.full((4, 4), 255, np.uint8)
        path = tmp_path / f"{name}.{name}"
        np.save(path, pixels) if name == "npy" else Image.fromarray(pixels).save(path)
    listing = match_maps(ids, tmp_path)
    assert {read_map(path).min() for path in listing.maps.values()} == {255}
    assert (len(listing.maps), listing.missing) == (len(ids), ())
