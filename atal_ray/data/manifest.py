"""Makes the manifest of a dataset folder: lists its images, chooses and reads them, leaves bad ones out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from atal_ray.config.data import OnBadFile
from atal_ray.data.images import file_bytes, read_image, read_mask, read_size
from atal_ray.data.layout import BadFile, FolderListing, find_pairs
from atal_ray.data.record import MANIFEST_SCHEMA, digest
from atal_ray.errors import DataError, command, counted
from atal_ray.seeding import derive
from atal_ray.store.location import AnyLocation, Location

LISTING_SCHEMA = pa.schema([MANIFEST_SCHEMA.field(name) for name in ("image_id", "image", "mask")])
"""A file pair before it is read."""
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
LEFT_OUT = "left_out"
_NAMED = 10  # bad files named in an error


@dataclass(frozen=True)
class Manifest:
    """The usable images of a folder, sorted by id, and the files that were left out."""

    table: pa.Table
    bad: list[BadFile]
    layout: str


Track = Callable[[Iterable[Any], int], Iterable[Any]]
"""Passes on the items it is given, of which there are so many."""


def untracked(items: Iterable[Any], total: int) -> Iterable[Any]:
    """The items, without a progress bar."""
    return items


def build_manifest(
    folder: AnyLocation,
    *,
    subset: AnyLocation | None = None,
    limit: int | None = None,
    verify: bool = True,
    on_bad_file: OnBadFile = "refuse",
    skip: str = "--data.on-bad-file skip",
    track: Track = untracked,
) -> Manifest:
    """The manifest of a dataset folder in any layout of `find_pairs`.

    Args:
        folder: the dataset.
        subset: text file with one image id a line; only these are used.
        limit: use at most this many images, those with the smallest hash of their id, so that every seed and
            every machine sees the same ones. Only the files of images in use are read.
        verify: decode every file in full; otherwise headers alone. Either way every byte is read once.
        on_bad_file: refuse the folder, or leave bad files out (then `limit` may not be reached).
        skip: the option of the command that leaves them out, for the sentence.
        track: passes on what it is given, one item for each image that is read; it may show a progress bar.

    Raises:
        DataError: nothing usable, an unknown id in `subset`, two images of one stem, or bad files to refuse.
    """
    listed = list_images(folder, subset=subset, limit=limit)
    rows, bad = [], listed.problems
    for found in in_threads(partial(read_pair, listed.root, verify=verify), listed.rows, track):
        if isinstance(found, BadFile):
            bad.append(found)
        else:
            rows.append(found)
    bad.sort(key=lambda item: (item.image_id, item.file))
    require_usable(folder, len(rows), len(bad), bad, on_bad_file, skip)
    table = pa.Table.from_pylist(rows, noting(MANIFEST_SCHEMA, listed.left_out))
    return Manifest(table, bad, listed.layout)


@dataclass(frozen=True)
class Listed:
    """The images of a dataset folder that a manifest is made of, before any of them is read."""

    root: Location
    layout: str
    rows: list[dict[str, Any]]
    """Rows of LISTING_SCHEMA, sorted by id."""
    problems: list[BadFile]
    """The images that cannot be used, by their names alone."""
    left_out: int = 0
    """How many images of the folder `subset` and `limit` leave out."""


def list_images(
    folder: AnyLocation, *, subset: AnyLocation | None = None, limit: int | None = None
) -> Listed:
    """The images of a dataset folder, without reading them.

    Args:
        folder: as for `build_manifest`, as are the others.
        subset: see there.
        limit: see there.

    Raises:
        DataError: no images, an unknown id in `subset`, or two images of one stem.
    """
    listing = find_pairs(folder)
    clashes = [problem for problem in listing.problems if problem.kind == "duplicate stem"]
    if clashes:
        raise DataError(
            f"{folder}:{_sentence(clashes, len(clashes))}\n"
            "Rename or remove one file of each pair: an id means one image."
        )
    image_ids = sorted(listing.images.keys() | {problem.image_id for problem in listing.problems})
    there = len(image_ids)
    if subset is not None:
        image_ids = _keep_subset(image_ids, Location.at(subset), str(folder))
    if limit is not None:
        image_ids = sorted(sorted(image_ids, key=lambda image_id: derive("limit", image_id))[:limit])
    chosen = set(image_ids)
    problems = [problem for problem in listing.problems if problem.image_id in chosen]
    spoilt = {problem.image_id for problem in problems}
    rows = [_listed(listing, image_id) for image_id in image_ids if image_id not in spoilt]
    return Listed(listing.root, listing.layout, rows, problems, there - len(image_ids))


def _listed(listing: FolderListing, image_id: str) -> dict[str, Any]:
    mask = listing.masks.get(image_id)
    return {
        "image_id": image_id,
        "image": listing.images[image_id].relative_to(listing.root),
        "mask": None if mask is None else mask.relative_to(listing.root),
    }


def require_usable(
    folder: AnyLocation, usable: int, bad: int, first: list[BadFile], on_bad_file: OnBadFile, skip: str
) -> None:
    """Refuse a folder with bad files, or without good ones.

    Args:
        folder: the dataset.
        usable: how many images can be used.
        bad: how many bad files there are.
        first: some of these, to be named.
        on_bad_file: as for `build_manifest`, as is `skip`.
        skip: see there.

    Raises:
        DataError: names the first bad files.
    """
    if bad and on_bad_file == "refuse":
        raise DataError(
            f"{folder}: {counted(bad, 'bad file')}:{_sentence(first, bad)}\n"
            f"Run {command('data', 'check', folder)} for the whole list, or pass {skip} to leave them out."
        )
    if not usable:
        raise DataError(f"{folder}: none of its images can be used:{_sentence(first, bad)}")


def noting(schema: pa.Schema, left_out: int) -> pa.Schema:
    """The schema with the number of images that `subset` and `limit` left out of a table."""
    return schema.with_metadata({LEFT_OUT: str(left_out)})


def left_out(schema: pa.Schema) -> int:
    """How many images were left out of a table, by its schema; 0 where it does not say."""
    return int((schema.metadata or {}).get(LEFT_OUT.encode(), b"0"))


def _keep_subset(image_ids: list[str], subset: Location, folder: str) -> list[str]:
    try:
        lines = subset.read().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{subset} cannot be read as a list of image ids: {error}") from error
    wanted = {line.strip() for line in lines if line.strip()}
    if not wanted:
        raise DataError(f"{subset} is empty: write one image id (file name without suffix) a line")
    unknown = sorted(wanted.difference(image_ids))
    if unknown:
        names = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise DataError(
            f"{subset}: {len(unknown)} of its {counted(len(wanted), 'image id')} "
            f"{'is' if len(unknown) == 1 else 'are'} not in {folder} "
            f"(file names without suffix): {names}"
        )
    return sorted(wanted)


def in_threads(
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    track: Track = untracked,
    threads: int | None = None,
) -> Iterator[Outcome]:
    """`work` on every item, in order, on threads: Pillow decodes without the interpreter's lock."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield from track(pool.map(work, items), len(items))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for the files still queued


def read_pair(root: Location, listed: dict[str, Any], verify: bool = True) -> dict[str, Any] | BadFile:
    """The row of an image, or what is wrong with it.

    Args:
        root: the dataset.
        listed: a row of LISTING_SCHEMA.
        verify: as for `build_manifest`.
    """
    image_id, name = listed["image_id"], listed["image"]
    try:
        data = file_bytes(root / name)
        height, width = read_image(root / name, data).shape[:2] if verify else read_size(root / name, data)
        row = {
            **listed,
            "height": height,
            "width": width,
            "image_bytes": len(data),
            "image_digest": digest(data),
        }
        if listed["mask"] is not None:
            name = listed["mask"]
            data = file_bytes(root / name)
            size = read_mask(root / name, data).shape if verify else read_size(root / name, data)
            row |= {"mask_bytes": len(data), "mask_digest": digest(data)}
            if size != (height, width):
                reason = f"is {size[1]}x{size[0]} pixels, but its image is {width}x{height}"
                return BadFile(image_id, name, reason, "size mismatch")
    except DataError as error:
        return BadFile(image_id, name, str(error).removeprefix(f"{root / name} "), "unreadable")
    return row


def _sentence(first: list[BadFile], count: int) -> str:
    """The first few of so many bad files, each on a line of its own."""
    named = first[:_NAMED]
    lines = [f"\n  {item.file} {item.reason}" for item in named]
    return "".join(lines) + (f"\n  ... and {count - len(named)} more" if count > len(named) else "")
