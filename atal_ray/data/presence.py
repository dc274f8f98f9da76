"""Whether the files of a manifest are still in its data folder, looked at before a campaign goes on."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs

from atal_ray.data.images import SUFFIXES
from atal_ray.data.record import records, unchanged
from atal_ray.errors import DataError, counted
from atal_ray.store.location import Location

Chunks = Callable[[], Iterable[pa.Table]]
"""The rows of a manifest, some at a time, from the first one on."""
IN_STORE = 1024
"""Images whose files are looked up in a store, spread over the manifest; on a disk it is every file."""
SAMPLE = 64
"""Images that are read where the folder is another than before, spread over the manifest."""
_NAMED = 5


def require_files(chunks: Chunks, images: int, folder: Location, *, moved: bool, way_on: str) -> None:
    """Refuse a data folder that does not hold the manifest's files at their sizes.

    A file that was replaced by one of the same size is found when a stage reads it, by its digest.

    Args:
        chunks: the manifest.
        images: how many rows it has.
        folder: where its files should be.
        moved: whether the folder is another than before: then some files are read and their digests compared.
        way_on: what to do about it, as the end of the sentence.

    Raises:
        DataError: the folder or files are missing, or are others; the first ones are named.
    """
    if folder.kind() != fs.FileType.Directory:
        raise DataError(f"{folder} is not there, where the images of this campaign should be: {way_on}")
    every = 1 if folder.is_local else -(-images // IN_STORE)
    problems: list[str] = []
    looked_up = 0
    for rows in _spread(chunks, every):
        found, files = _problems(rows, folder)
        problems, looked_up = problems + found, looked_up + files
    if not problems and moved:
        problems = [
            problem for rows in _spread(chunks, -(-images // SAMPLE)) for problem in _others(rows, folder)
        ]
    if problems:
        more = f"\n  ... and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise DataError(
            f"{folder}: {len(problems):,} of {counted(looked_up, 'file')} that were looked at "
            f"{'is' if len(problems) == 1 else 'are'} not what the campaign began with:\n  "
            + "\n  ".join(problems[:_NAMED])
            + f"{more}\n{way_on[0].upper()}{way_on[1:]}"
        )


def added_images(chunks: Chunks, folder: Location, left_out: set[str]) -> list[str]:
    """Image files that lie beside those of the manifest, sorted; none of a store, whose listing takes long.

    Args:
        chunks: the manifest of all images in the folder.
        folder: where they are.
        left_out: ids of images that were left out of the manifest.
    """
    if not folder.is_local:
        return []
    folders: dict[str, set[str]] = {"image": set(), "mask": set()}
    known: list[NDArray[np.uint64]] = []
    for rows in chunks():
        for kind, parents in folders.items():
            parents.update(str(PurePosixPath(path).parent) for path in rows[kind].to_pylist() if path)
        known.append(_hashes(rows["image_id"].to_pylist()))
    mixed = folders["image"] == folders["mask"]  # JPEG images beside PNG masks
    ids = np.sort(np.concatenate([np.empty(0, np.uint64), *known]))  # of a million ids 8 MB, their texts 100
    names = (
        f"{parent}/{name}".removeprefix("./")
        for parent in sorted(folders["image"])
        for name, is_folder in (folder / parent if parent != "." else folder).entries()
        if not is_folder and not name.startswith(".") and _is_image(name, mixed)
    )
    added: list[str] = []
    while some := list(islice(names, IN_STORE)):
        stems = [PurePosixPath(name).stem for name in some]
        wanted = _hashes(stems)
        places = np.searchsorted(ids, wanted)
        there = ids[np.minimum(places, len(ids) - 1)] == wanted if len(ids) else np.zeros(len(some), bool)
        added += [
            name
            for name, stem, seen in zip(some, stems, there, strict=True)
            if not seen and stem not in left_out
        ]
    return sorted(added)


def _hashes(texts: list[str]) -> NDArray[np.uint64]:
    """64 bits of each text: two of a million are equal once in 40 million times."""
    found = [blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(found), np.uint64)


def _is_image(name: str, mixed: bool) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in SUFFIXES and not (mixed and suffix == ".png")


def _spread(chunks: Chunks, every: int) -> Iterator[pa.Table]:
    """Every so manieth row, some at a time."""
    start = 0
    for rows in chunks():
        first = -start % every
        start += rows.num_rows
        yield rows.take(list(range(first, rows.num_rows, every))) if every > 1 else rows


def _problems(rows: pa.Table, folder: Location) -> tuple[list[str], int]:
    """What is wrong with the files of some rows by name and size, and how many there are."""
    files = [
        (path, size)
        for kind in ("image", "mask")
        for path, size in zip(rows[kind].to_pylist(), rows[f"{kind}_bytes"].to_pylist(), strict=True)
        if path
    ]
    system, _ = folder.open()
    infos = system.get_file_info([(folder / path).open()[1] for path, _ in files])
    found = []
    for (path, size), info in zip(files, infos, strict=True):
        if info.type != fs.FileType.File:
            found.append(f"{path} is missing")
        elif info.size != size:
            found.append(f"{path} has {info.size:,} bytes, and had {size:,}")
    return found, len(files)


def _others(rows: pa.Table, folder: Location) -> Iterator[str]:
    """The files of some rows whose digest is another."""
    for record in records(rows, folder):
        try:
            unchanged(record.image, record.image_bytes, record.image_digest)
            if record.mask is not None and record.mask_bytes is not None and record.mask_digest is not None:
                unchanged(record.mask, record.mask_bytes, record.mask_digest)
        except DataError as error:
            yield str(error).partition(":")[0]
