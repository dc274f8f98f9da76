"""Which saliency map of a folder belongs to which mask: by the stem of its file, and nothing else."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from atal_ray.data.images import SUFFIXES
from atal_ray.data.layout import BadFile, existing_folder, files_by_stem, scan_folder
from atal_ray.errors import DataError, counted
from atal_ray.store.location import Location

MAP_SUFFIXES = SUFFIXES | {".npy"}

_NAMED = 3  # files named in a message
_SAMPLED = 20  # stems from which the naming of maps is guessed


@dataclass(frozen=True)
class MapListing:
    """The maps of a folder by mask id, before any of them is read."""

    root: Path
    maps: dict[str, Path]
    """In the order of the mask ids; without those that have a problem."""
    missing: tuple[str, ...]
    """Mask ids without a map."""
    extra: tuple[str, ...]
    """Names of map files that belong to no mask; files that are no map by their suffix are passed over."""
    problems: tuple[BadFile, ...]
    """Two maps of one mask, links that leave the folder, unusable names."""


def match_maps(mask_ids: Collection[str], folder: str | Path) -> MapListing:
    """The map of each mask in a folder: the image or .npy file of exactly the same stem, with a suffix in any
    case.

    Raises:
        DataError: no such folder, no map of any mask, or maps under another naming than the masks.
    """
    root = existing_folder(folder, "saliency maps")
    files, subfolders = scan_folder(root, MAP_SUFFIXES)
    unusable: list[BadFile] = []
    found = files_by_stem(root, files, unusable)
    wanted = set(mask_ids)
    problems = tuple(item for item in unusable if item.image_id in wanted or item.kind == "unusable name")
    spoilt = {item.image_id for item in problems}
    usable = [mask_id for mask_id in mask_ids if mask_id in found and mask_id not in spoilt]
    maps = {mask_id: found[mask_id].local_path for mask_id in usable}
    missing = tuple(mask_id for mask_id in mask_ids if mask_id not in maps and mask_id not in spoilt)
    stray = {stem: path.name for stem, path in found.items() if stem not in wanted}
    if 2 * len(missing) > len(wanted):
        _refuse_other_naming(folder, missing, stray)
        if not maps and not problems:
            contents = _contents(missing[0], files, subfolders)
            raise DataError(f"{folder} holds no map of any of the {counted(len(wanted), 'mask')}{contents}")
    extra = sorted([*stray.values(), *(item.file for item in unusable if item not in problems)])
    return MapListing(root.local_path, maps, missing, tuple(extra), problems)


def _refuse_other_naming(folder: str | Path, missing: Collection[str], stray: Collection[str]) -> None:
    """Raise DataError where a prefix and a suffix explain why most of the missing masks have no map."""
    least = len(missing) // 2 + 1
    if maps := _naming(missing, stray, least):
        rule, mask, found = maps
        raise DataError(
            f"{folder}: maps are named {rule} (map {found}, mask {mask}): "
            "rename them to the stems of the masks"
        )
    if masks := _naming(stray, missing, least):
        rule, found, mask = masks
        raise DataError(
            f"{folder}: masks are named {rule} (mask {mask}, map {found}): "
            "rename the maps to the stems of the masks"
        )


def _naming(stems: Collection[str], names: Collection[str], least: int) -> tuple[str, str, str] | None:
    """The rule, such as STEM_sal, by which at least so many stems become names, with a stem and its name."""
    longest = sorted(stems, key=len)[-_SAMPLED:]  # short stems occur in many names by chance
    affixes = {name.partition(stem)[::2] for stem in longest for name in names if stem in name}
    known = set(names)
    for prefix, suffix in sorted(affixes):
        renamed = [(stem, f"{prefix}{stem}{suffix}") for stem in stems]
        fitting = [(stem, name) for stem, name in renamed if name in known]
        if len(fitting) >= least:
            return f"{prefix}STEM{suffix}", *fitting[0]
    return None


def _contents(mask_id: str, files: list[Location], subfolders: list[Location]) -> str:
    """What a folder without maps holds, as the end of the message."""
    if files:
        names = ", ".join(path.name for path in files[:_NAMED]) + ", ..." * (len(files) > _NAMED)
        return f" but {names}: a map has the stem of its mask, such as {mask_id}.png"
    if subfolders:
        names = ", ".join(path.name for path in subfolders[:_NAMED])
        return f" but the folders {names}: give the one that holds the maps"
    return f": a map is an image or .npy file with the stem of its mask, such as {mask_id}.png"
