"""The manifest: one row an image, with where it is, where its mask is and its size."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa

from atal_ray.config.data import OnBadFile
from atal_ray.data.images import read_image, read_mask, read_size
from atal_ray.data.layout import BadFile, FolderListing, find_pairs
from atal_ray.errors import DataError
from atal_ray.seeding import derive
from atal_ray.store.location import AnyLocation, Location

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),  # stem of the file, unique in the manifest
        pa.field("image", pa.string(), nullable=False),  # absolute path or URI
        pa.field("mask", pa.string()),  # absolute path or URI; null where the folder is unlabelled
        pa.field("height", pa.int32(), nullable=False),  # pixels
        pa.field("width", pa.int32(), nullable=False),
    ]
)
Outcome = TypeVar("Outcome")
_NAMED = 10  # bad files named in an error


@dataclass(frozen=True)
class Record:
    """One row of a manifest."""

    image_id: str
    image: str
    mask: str | None
    height: int
    width: int


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
    track: Track = untracked,
) -> Manifest:
    """The manifest of a dataset folder in any layout of `find_pairs`.

    Args:
        folder: the dataset.
        subset: text file with one image id a line; only these are used.
        limit: use at most this many images, those with the smallest hash of their id, so that every seed and
            every machine sees the same ones. Only the files of images in use are read.
        verify: decode every file in full; otherwise headers alone.
        on_bad_file: refuse the folder, or leave bad files out (then `limit` may not be reached).
        track: passes on what it is given, one item for each image that is read; it may show a progress bar.

    Raises:
        DataError: nothing usable, an unknown id in `subset`, two images of one stem, or bad files to refuse.
    """
    listing = find_pairs(folder)
    clashes = [problem for problem in listing.problems if problem.kind == "duplicate stem"]
    if clashes:
        raise DataError(
            f"{folder}:{_sentence(clashes)}\nRename or remove one file of each pair: an id means one image."
        )
    image_ids = sorted(listing.images.keys() | {problem.image_id for problem in listing.problems})
    if subset is not None:
        image_ids = _keep_subset(image_ids, Location.at(subset), str(folder))
    if limit is not None:
        image_ids = sorted(sorted(image_ids, key=lambda image_id: derive("limit", image_id))[:limit])
    rows, bad = _read_all(listing, image_ids, verify, track)
    if bad and on_bad_file == "refuse":
        raise DataError(
            f"{folder}: {len(bad)} bad file{'s' * (len(bad) > 1)}:{_sentence(bad)}\n"
            f"Run `atal data check {folder}` for the whole list, "
            "or pass --data.on-bad-file skip to leave them out."
        )
    if not rows:
        raise DataError(f"{folder}: none of its {len(image_ids)} images can be used:{_sentence(bad)}")
    return Manifest(pa.Table.from_pylist([vars(row) for row in rows], MANIFEST_SCHEMA), bad, listing.layout)


def records(table: pa.Table) -> list[Record]:
    """The rows of a manifest in order."""
    return [Record(**row) for row in table.to_pylist()]


def slice_rows(table: pa.Table, start: int, stop: int) -> list[Record]:
    """Rows `start` up to `stop` (excluded) of a manifest; fewer at its end."""
    return records(table.slice(start, max(0, stop - start)))


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
            f"{subset}: {len(unknown)} of its {len(wanted)} image ids are not in {folder} "
            f"(file names without suffix): {names}"
        )
    return sorted(wanted)


def _read_all(
    listing: FolderListing, image_ids: list[str], verify: bool, track: Track
) -> tuple[list[Record], list[BadFile]]:
    """The rows of the usable images and the reasons of the others, both in the order of the ids."""
    chosen = set(image_ids)
    known = [problem for problem in listing.problems if problem.image_id in chosen]
    spoilt = {problem.image_id for problem in known}
    usable = [image_id for image_id in image_ids if image_id not in spoilt]
    rows, bad = [], known
    for outcome in in_threads(lambda image_id: _read_one(listing, image_id, verify), usable, track):
        if isinstance(outcome, Record):
            rows.append(outcome)
        else:
            bad.append(outcome)
    return rows, sorted(bad, key=lambda item: (item.image_id, item.file))


def in_threads(work: Callable[[str], Outcome], image_ids: list[str], track: Track) -> Iterator[Outcome]:
    """`work` on every image id, in order, on threads: Pillow decodes without the interpreter's lock."""
    pool = ThreadPoolExecutor()
    try:
        yield from track(pool.map(work, image_ids), len(image_ids))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for the files still queued


def _read_one(listing: FolderListing, image_id: str, verify: bool) -> Record | BadFile:
    image, mask = listing.images[image_id], listing.masks.get(image_id)
    path = image
    try:
        height, width = read_image(image).shape[:2] if verify else read_size(image)
        if mask is not None:
            path = mask
            size = read_mask(mask).shape if verify else read_size(mask)
            if size != (height, width):
                reason = f"is {size[1]}x{size[0]} pixels, but its image is {width}x{height}"
                return BadFile(image_id, mask.relative_to(listing.root), reason, "size mismatch")
    except DataError as error:
        return BadFile(
            image_id, path.relative_to(listing.root), str(error).removeprefix(f"{path} "), "unreadable"
        )
    return Record(image_id, str(image), str(mask) if mask else None, height, width)


def _sentence(bad: list[BadFile]) -> str:
    """The first few bad files, each on a line of its own."""
    lines = [f"\n  {item.file} {item.reason}" for item in bad[:_NAMED]]
    return "".join(lines) + (f"\n  ... and {len(bad) - _NAMED} more" if len(bad) > _NAMED else "")
