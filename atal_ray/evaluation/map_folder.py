"""Which saliency map of a folder belongs to which mask: by the stem of its file, and nothing else."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from atal_ray.data.images import SUFFIXES
from atal_ray.data.layout import BadFile, existing_folder, files_by_stem, scan_folder
from atal_ray.errors import DataError

MAP_SUFFIXES = SUFFIXES | {".npy"}

_NAMED = 3  # files named in a message
_VOTERS = 20  # ids that propose how maps are named


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
    root = existing_folder(Path(folder), "saliency maps")
    files, subfolders = scan_folder(root, MAP_SUFFIXES)
    unusable: list[BadFile] = []
    found = files_by_stem(root, files, unusable)
    wanted = set(mask_ids)
    problems = tuple(item for item in unusable if item.image_id in wanted or item.kind == "unusable name")
    spoilt = {item.image_id for item in problems}
    maps = {mask_id: found[mask_id] for mask_id in mask_ids if mask_id in found and mask_id not in spoilt}
    missing = tuple(mask_id for mask_id in mask_ids if mask_id not in maps and mask_id not in spoilt)
    stray = {stem: path.name for stem, path in found.items() if stem not in wanted}
    if 2 * len(missing) > len(wanted):
        _refuse_other_naming(folder, missing, stray)
        if not maps and not problems:
            raise DataError(
                f"{folder} holds no map of any of the {len(wanted)} masks{_contents(missing[0], files, subfolders)}"
            )
    extra = sorted([*stray.values(), *(item.file for item in unusable if item not in problems)])
    return MapListing(root, maps, missing, tuple(extra), problems)


def _refuse_other_naming(folder: str | Path, missing: tuple[str, ...], stray: dict[str, str]) -> None:
    """Name the rule by which most masks without a map would match a map without a mask."""
    least = len(missing) // 2 + 1
    for shorter, longer, sentence in (
        (
            missing,
            stray,
            "maps are named {} (map {long}, mask {short}): rename them to the stems of the masks",
        ),
        (
            stray,
            missing,
            "masks are named {} (mask {long}, map {short}): rename the maps to the stems of the masks",
        ),
    ):
        affixes = _affixes(shorter, longer, least)
        if affixes is not None:
            prefix, suffix = affixes
            short = next(stem for stem in shorter if f"{prefix}{stem}{suffix}" in longer)
            raise DataError(
                f"{folder}: "
                + sentence.format(f"{prefix}STEM{suffix}", short=short, long=f"{prefix}{short}{suffix}")
            )


def _affixes(stems: Collection[str], names: Collection[str], least: int) -> tuple[str, str] | None:
    """The prefix and the suffix that turn at least so many of the stems into names."""
    names = set(names)
    voters = sorted(stems, key=len)[-_VOTERS:]  # short stems lie in many names by chance
    votes = Counter(name.partition(stem)[::2] for stem in voters for name in names if stem in name)
    for (prefix, suffix), _ in votes.most_common(_VOTERS):
        if sum(f"{prefix}{stem}{suffix}" in names for stem in stems) >= least:
            return prefix, suffix
    return None


def _contents(mask_id: str, files: list[Path], subfolders: list[Path]) -> str:
    """What a folder without maps holds, to go on after the complaint."""
    if files:
        names = ", ".join(path.name for path in files[:_NAMED])
        return f" but {names}{', ...' * (len(files) > _NAMED)}: a map has the stem of its mask, such as {mask_id}.png"
    if subfolders:
        return f" but the folders {', '.join(path.name for path in subfolders[:_NAMED])}: give the one that holds the maps"
    return f": a map is an image or .npy file with the stem of its mask, such as {mask_id}.png"
