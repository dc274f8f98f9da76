"""A row of the manifest: where an image and its mask are in the data folder, its size, digests of both."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.data.images import file_bytes, read_image, read_mask, read_soft_mask
from atal_ray.errors import ChangedError, DataError
from atal_ray.store.location import AnyLocation, Location

DIGEST_BYTES = 16
MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),  # stem of the file, unique in the manifest
        pa.field("image", pa.string(), nullable=False),  # path in the data folder, parts separated by /
        pa.field("mask", pa.string()),  # the same of the mask; null where the folder is unlabelled
        pa.field("height", pa.int32(), nullable=False),  # pixels, of the mask too
        pa.field("width", pa.int32(), nullable=False),
        pa.field("image_bytes", pa.int64(), nullable=False),  # size of the file
        pa.field("image_digest", pa.binary(DIGEST_BYTES), nullable=False),  # `digest` of the file
        pa.field("mask_bytes", pa.int64()),  # null where there is no mask
        pa.field("mask_digest", pa.binary(DIGEST_BYTES)),
    ]
)


@dataclass(frozen=True)
class Record:
    """One row of a manifest, whose files are the ones that it was written of or are refused.

    `read_image` and the others raise DataError for a file that is missing or damaged, and ChangedError for
    one that is another than the manifest's.
    """

    image_id: str
    image: str
    """Absolute path or URI, as is `mask`."""
    mask: str | None
    height: int
    width: int
    image_bytes: int
    image_digest: bytes
    mask_bytes: int | None
    mask_digest: bytes | None

    def read_image(self) -> NDArray[np.uint8]:
        """The pixels, uint8 [H, W, 3] in RGB."""
        return read_image(self.image, unchanged(self.image, self.image_bytes, self.image_digest))

    def read_mask(self) -> NDArray[np.uint8]:
        """The mask, uint8 [H, W], 1 salient and 0 background; DataError where there is none."""
        return read_mask(*self._mask())

    def read_soft_mask(self) -> NDArray[np.uint8]:
        """The mask with the grey of its edges, uint8 [H, W], 0 background to 255 salient."""
        return read_soft_mask(*self._mask())

    def _mask(self) -> tuple[str, bytes]:
        if self.mask is None or self.mask_bytes is None or self.mask_digest is None:
            raise DataError(f"image {self.image_id} has no mask")
        return self.mask, unchanged(self.mask, self.mask_bytes, self.mask_digest)


def digest(data: bytes) -> bytes:
    """What tells a file from any other: BLAKE2b of its bytes, in DIGEST_BYTES bytes."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def unchanged(path: AnyLocation, size: int, wanted: bytes) -> bytes:
    """All bytes of a file that was `size` bytes of this digest.

    Raises:
        DataError: it cannot be read.
        ChangedError: it is another file now.
    """
    data = file_bytes(path)
    if len(data) != size or digest(data) != wanted:
        sizes = f"{size:,} bytes then, {len(data):,} now" if len(data) != size else f"both of {size:,} bytes"
        raise ChangedError(
            f"{path} is not the file that the campaign began with ({sizes}): put the old file back and run "
            "the same command again, or go on with the files as they are now in another campaign: "
            "`atal fork CAMPAIGN NEW`, with the folder of this one as CAMPAIGN and a new one as NEW"
        )
    return data


def records(table: pa.Table, folder: AnyLocation) -> list[Record]:
    """The rows of a manifest in order, with their files in a data folder."""
    root = Location.at(folder)
    return [
        Record(**{**row, "image": str(root / row["image"]), "mask": row["mask"] and str(root / row["mask"])})
        for row in table.to_pylist()
    ]


def slice_rows(table: pa.Table, start: int, stop: int, folder: AnyLocation) -> list[Record]:
    """Rows `start` up to `stop` (excluded) of a manifest; fewer at its end."""
    return records(table.slice(start, max(0, stop - start)), folder)
