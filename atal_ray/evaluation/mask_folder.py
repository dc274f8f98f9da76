"""The masks of a test set: in a known layout, with or without its images, or in a plain folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atal_ray.data.images import read_image
from atal_ray.data.layout import (
    LAYOUTS,
    MASK_NAME,
    BadFile,
    child_folder,
    existing_folder,
    files_by_stem,
    find_pairs,
    refuse_outside,
    scan_folder,
)
from atal_ray.errors import DataError
from atal_ray.evaluation.maps import COLOUR_SPREAD
from atal_ray.store.location import Location

_SAMPLE = 5  # files looked into where names do not tell masks from photographs
_PALETTE = 256  # colours that a palette can hold


@dataclass(frozen=True)
class MaskListing:
    """The masks of a test set by id (the stem), before any of them is read."""

    root: Path
    layout: str
    masks: dict[str, Path]
    """Sorted by name; without those that have a problem."""
    problems: tuple[BadFile, ...]
    """Two masks of one stem, links that leave the folder, unusable names."""


def find_masks(folder: str | Path) -> MaskListing:
    """The masks to evaluate on; images need not exist, and whether they match is not looked at.

    Accepted: the layouts of `find_pairs`, also without their images or one level deeper, and a folder of
    nothing but masks.

    Raises:
        DataError: no such folder, no masks, photographs in place of masks, or more than one folder of masks.
    """
    root = existing_folder(folder, "masks")
    files, subfolders = scan_folder(root)
    found = _mask_folders(root)
    if not found and not files:
        found = [item for inner in subfolders for item in _mask_folders(inner)]
    if len(found) > 1:
        names = ", ".join(path.relative_to(root) for _, path in found)
        raise DataError(f"{folder} holds several folders of masks ({names}): give one of them")
    if found:
        layout, masks = found[0]
        return _listing(root, layout, scan_folder(masks)[0])
    pairs = find_pairs(root)
    if pairs.labelled:
        places = {path.parent for path in pairs.masks.values()}
        bad = [
            item for item in pairs.problems if item.kind not in ("image without mask", "mask without image")
        ]
        return _without(
            root, pairs.layout, pairs.masks, [item for item in bad if (root / item.file).parent in places]
        )
    photo = next((path for path in list(pairs.images.values())[:_SAMPLE] if _is_photo(path)), None)
    if photo is not None:
        raise DataError(
            f"{folder} holds photographs ({photo.name}), not masks: give the dataset or its folder of masks"
        )
    return _without(root, "masks alone", pairs.images, list(pairs.problems))


def _mask_folders(folder: Location) -> list[tuple[str, Location]]:
    """Each layout that a folder may have, and its folder of masks; those with images, if there are any."""
    subfolders = scan_folder(folder)[1]
    children = [
        (name, child_folder(subfolders, image), child_folder(subfolders, mask))
        for name, image, mask in LAYOUTS
    ]
    known = [(name, image, mask) for name, image, mask in children if mask and scan_folder(mask)[0]]
    complete = [(name, mask) for name, image, mask in known if image]
    named = [
        ("masks alone", path) for path in subfolders if MASK_NAME.search(path.name) and scan_folder(path)[0]
    ]
    return complete or [(name, mask) for name, _, mask in known] or named


def _listing(root: Location, layout: str, files: list[Location]) -> MaskListing:
    refuse_outside(root, files[0].parent)
    problems: list[BadFile] = []
    return _without(root, layout, files_by_stem(root, files, problems), problems)


def _without(root: Location, layout: str, masks: dict[str, Location], problems: list[BadFile]) -> MaskListing:
    spoilt = {item.image_id for item in problems}
    usable = {stem: path.local_path for stem, path in masks.items() if stem not in spoilt}
    return MaskListing(root.local_path, layout, usable, tuple(problems))


def _is_photo(path: Location) -> bool:
    """Whether a file is coloured in more colours than a palette can hold."""
    try:
        pixels = read_image(path).astype(np.uint32)
    except DataError:
        return False
    coloured = np.ptp(pixels, axis=2).max() > COLOUR_SPREAD
    return bool(coloured and np.unique(pixels @ np.array([1 << 16, 1 << 8, 1], np.uint32)).size > _PALETTE)
