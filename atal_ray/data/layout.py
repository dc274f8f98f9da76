"""Which files of a dataset are images, and which is the mask of each, in the layouts of the downloads."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from pyarrow import fs

from atal_ray.data.images import SUFFIXES, read_image
from atal_ray.errors import DataError
from atal_ray.store.location import AnyLocation, Location

LAYOUTS = (
    ("DUTS-TR", "DUTS-TR-Image", "DUTS-TR-Mask"),
    ("DUTS-TE", "DUTS-TE-Image", "DUTS-TE-Mask"),
    ("DUT-OMRON", "DUT-OMRON-image", "pixelwiseGT-new-PNG"),
    ("ECSSD", "images", "ground_truth_mask"),
    ("HKU-IS", "imgs", "gt"),
    ("PASCAL-S", "datasets/imgs/pascal", "datasets/masks/pascal"),
    ("images + masks", "images", "masks"),
    ("image + mask", "image", "mask"),
)
"""Name of a layout, its folder of images and its folder of masks; names are matched whatever their case."""

MASK_NAME = re.compile(r"mask|(?<!back)ground|(^|[^a-z])gt|gt([^a-z]|$)", re.IGNORECASE)
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # lone surrogates stand for bytes that are not UTF-8
_SAMPLE = 5  # files looked into where names do not tell masks from images

ProblemKind = Literal[
    "duplicate stem",
    "link outside",
    "unusable name",
    "image without mask",
    "mask without image",
    "unreadable",
    "size mismatch",
]


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used; `file` is relative to the dataset, and `reason` continues its name."""

    image_id: str
    file: str
    reason: str
    kind: ProblemKind


@dataclass(frozen=True)
class FolderListing:
    """The files of a dataset folder by image id (the stem), before any of them is read."""

    root: Location
    layout: str
    images: dict[str, Location]
    masks: dict[str, Location]
    """Empty for an unlabelled folder."""
    labelled: bool
    problems: tuple[BadFile, ...]
    """Duplicate stems, links that leave the folder, missing partners."""


def find_pairs(folder: AnyLocation) -> FolderListing:
    """The images of a folder and their masks, in any layout; nothing is decoded where names suffice.

    Accepted: the official layouts, two folders of files with equal stems, one folder that mixes JPEG images
    with PNG masks, images alone, or any of these one level deeper when there is only one.

    Raises:
        DataError: no such folder, no images in it, or more than one way to read it.
    """
    root = existing_folder(folder, "images")
    listing = _list_layout(root, root)
    if listing is not None:
        return listing
    inner = {
        path.name: listing
        for path in scan_folder(root)[1]
        if (listing := _list_layout(root, path)) is not None
    }
    if len(inner) > 1:
        choice = ", ".join(sorted(inner))
        raise DataError(
            f"{folder} holds several folders to choose from ({choice}): name one, or use images/ and masks/"
        )
    if not inner:
        raise DataError(
            f"{folder} holds no images ({', '.join(sorted(SUFFIXES))}) in any layout that is known"
        )
    return next(iter(inner.values()))


def existing_folder(folder: AnyLocation, content: str) -> Location:
    """The folder, which must exist, without symbolic links; `content` says what it should hold.

    Raises:
        DataError: no such folder, or a file.
    """
    root = Location.at(folder).resolved()
    kind = root.kind()
    if kind == fs.FileType.NotFound:
        raise DataError(f"{folder} does not exist: give the folder that holds the {content}")
    if kind != fs.FileType.Directory:
        raise DataError(f"{folder} is a file: give the folder that holds the {content}")
    return root


def _list_layout(root: Location, folder: Location) -> FolderListing | None:
    """The listing of `folder` read as one dataset, or None where it is none."""
    files, subfolders = scan_folder(folder)
    pairs = [
        (name, child_folder(subfolders, image), child_folder(subfolders, mask))
        for name, image, mask in LAYOUTS
    ]
    known = [(name, image, mask) for name, image, mask in pairs if image and mask]
    if len(known) > 1:
        readings = " or as ".join(name for name, *_ in known)
        raise DataError(f"{folder} can be read as {readings}: keep one in a folder of its own")
    if known:
        return _list_pair(root, *known[0])
    inner = [path for path in subfolders if _image_files(path)]
    if files and inner:
        raise DataError(
            f"{folder} holds images beside folders of images ({_names(inner)}): move one of them away"
        )
    if files:
        return _list_single(root, files)
    if len(inner) == 1:
        if MASK_NAME.search(inner[0].name):
            raise DataError(f"{folder} holds masks ({_names(inner)}) but no folder of images")
        return _list_single(root, _image_files(inner[0]))
    return _list_unnamed(root, folder, *inner) if len(inner) == 2 else None


def _list_unnamed(
    root: Location, folder: Location, first: Location, second: Location
) -> FolderListing | None:
    """Two folders of images under other names: a pair if one is called masks, or holds masks of the other's
    stems.
    """
    masks = [bool(MASK_NAME.search(path.name)) for path in (first, second)]
    if masks[0] == masks[1]:
        if not {path.stem for path in _image_files(first)} & {path.stem for path in _image_files(second)}:
            return None
        masks = [_look_like_masks(_image_files(path)) for path in (first, second)]
    if masks[0] == masks[1]:
        raise DataError(
            f"{folder}: is {first.name} or {second.name} the folder of masks? Call them images and masks"
        )
    image, mask = (second, first) if masks[0] else (first, second)
    return _list_pair(root, f"{image.name} + {mask.name}", image, mask)


def _list_pair(root: Location, layout: str, image: Location, mask: Location) -> FolderListing:
    return _listing(root, layout, _image_files(image), _image_files(mask), labelled=True)


def _list_single(root: Location, files: list[Location]) -> FolderListing:
    """The files of one folder: JPEG images mixed with their PNG masks (PASCAL-S), or unlabelled images."""
    photos = {path.stem for path in files if path.suffix.lower() in (".jpg", ".jpeg")}
    paired = [path for path in files if path.suffix.lower() == ".png" and path.stem in photos]
    if paired and _look_like_masks(paired):
        images = [path for path in files if path.suffix.lower() != ".png"]
        masks = [path for path in files if path.suffix.lower() == ".png"]
        return _listing(root, "PASCAL-S", images, masks, labelled=True)
    return _listing(root, "images alone", files, [], labelled=False)


def _listing(
    root: Location, layout: str, image_files: list[Location], mask_files: list[Location], labelled: bool
) -> FolderListing:
    if not image_files:
        raise DataError(f"{root}: the layout is {layout}, but its folder of images is empty")
    for folder in {path.parent for path in (*image_files, *mask_files)}:
        refuse_outside(root, folder)
    problems: list[BadFile] = []
    images, masks = files_by_stem(root, image_files, problems), files_by_stem(root, mask_files, problems)
    if labelled:
        spoilt = {problem.image_id for problem in problems}
        problems += _lonely(root, images, masks.keys() | spoilt, "has no mask", "image without mask")
        problems += _lonely(root, masks, images.keys() | spoilt, "has no image", "mask without image")
    return FolderListing(root, layout, images, masks, labelled, tuple(problems))


def _lonely(
    root: Location, files: dict[str, Location], partners: set[str], reason: str, kind: ProblemKind
) -> list[BadFile]:
    return [
        BadFile(stem, path.relative_to(root), reason, kind)
        for stem, path in files.items()
        if stem not in partners
    ]


def refuse_outside(root: Location, folder: Location) -> None:
    """Raise DataError for a subfolder that is a link to somewhere outside of `root` (without links)."""
    if not folder.is_below(root):
        raise DataError(
            f"{folder} is a link to {folder.resolved()}, outside of {root}: give the folder it points into"
        )


def files_by_stem(root: Location, files: list[Location], problems: list[BadFile]) -> dict[str, Location]:
    """The usable files by stem; appends duplicates, links out of `root` and unusable names to `problems`."""
    found: dict[str, Location] = {}
    for path in files:
        name = path.relative_to(root)
        if _UNUSABLE.search(name):
            reason = "has a name with control characters or bytes that are not UTF-8"
            problems.append(BadFile(ascii(path.stem)[1:-1], ascii(name)[1:-1], reason, "unusable name"))
        elif path.is_link and not path.is_below(root):
            reason = f"is a link to {path.resolved()}, outside of {root}"
            problems.append(BadFile(path.stem, name, reason, "link outside"))
        elif path.stem in found:
            reason = (
                f"has the same stem as {found[path.stem].name}, so the image id {path.stem} would mean both"
            )
            problems.append(BadFile(path.stem, name, reason, "duplicate stem"))
        else:
            found[path.stem] = path
    return found


def child_folder(subfolders: list[Location], below: str) -> Location | None:
    """The folder at a relative path, matched whatever its case; None where there is none."""
    name, _, rest = below.partition("/")
    matches = [path for path in subfolders if path.name.lower() == name.lower()]
    if len(matches) > 1:
        raise DataError(f"{matches[0].parent} holds {_names(matches)}, which differ in case only: keep one")
    if not matches:
        return None
    return child_folder(scan_folder(matches[0])[1], rest) if rest else matches[0]


def _image_files(folder: Location) -> list[Location]:
    return scan_folder(folder)[0]


def scan_folder(folder: Location, suffixes: Set[str] = SUFFIXES) -> tuple[list[Location], list[Location]]:
    """The files of these suffixes (whatever their case) and the subfolders of a folder, sorted.

    Hidden ones and archive leftovers are passed over.

    Raises:
        DataError, StoreError: the folder cannot be listed.
    """
    files: list[str] = []
    subfolders: list[str] = []
    for name, is_folder in folder.entries():
        if name.startswith(".") or name == "__MACOSX":
            continue
        if is_folder:
            subfolders.append(name)
        elif PurePosixPath(name).suffix.lower() in suffixes:
            files.append(name)
    return [folder / name for name in sorted(files)], [folder / name for name in sorted(subfolders)]


def _look_like_masks(files: Sequence[Location]) -> bool:
    """Whether the first readable files are nearly black and white."""
    verdicts = []
    for path in files[:_SAMPLE]:
        try:
            pixels = read_image(path)
        except DataError:
            continue
        extreme = (pixels <= 10).all(axis=2) | (pixels >= 245).all(axis=2)
        verdicts.append(float(np.mean(extreme)) > 0.9)
    return bool(verdicts) and all(verdicts)


def _names(paths: Sequence[Location]) -> str:
    return ", ".join(path.name for path in paths)
