"""PixelPick's queries.pkl, read without running any code that a pickle may hold."""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from atal_ray.annotation.formats.labelled_image import LabelledImages
from atal_ray.annotation.formats.point_format import PointFormat, ReadPoint, point_format
from atal_ray.errors import ConfigError, DataError
from atal_ray.store.folder import Folder

_CATEGORIES = {0: 0, 1: 1, 255: 255}
_ARRAYS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, texts and arrays of NumPy, and refuses all else a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        """What an array is made of; every other class or function is refused."""
        if (module.replace("numpy.core", "numpy._core"), name) in _ARRAYS:
            return resolve_name(f"{module.replace('numpy.core', 'numpy._core')}:{name}")
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is not read")


@point_format("pixelpick")
class QueriesPickle(PointFormat):
    """A dictionary from the path of an image to x_coords, y_coords and category_id."""

    reads = True
    keeps = "the pixel and its label"
    writes = False

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Pickles are not written."""
        raise ConfigError("pixelpick is read, and not written: a pickle may run code where it is read")

    @classmethod
    def read(cls, source: Path) -> Iterator[ReadPoint]:
        """The points of the file; category 1 is foreground, 0 background, 255 unsure."""
        try:
            found = _PlainUnpickler(io.BytesIO(source.read_bytes())).load()
            entries = {str(path): dict(of) for path, of in found.items()}
        except Exception as error:  # a damaged pickle fails in many ways
            raise DataError(f"{source} is not a plain queries.pkl of PixelPick: {error}") from error
        for path, of in entries.items():
            yield from _points(source, path, of)


def _points(source: Path, path: str, of: dict[str, Any]) -> Iterator[ReadPoint]:
    if "category_id" not in of:
        raise DataError(f"{source}, {path} has no category_id: these are questions without labels")
    name, at = Path(path.replace("\\", "/")).stem, f"{source}, {path}"
    try:
        columns = [list(of[key]) for key in ("x_coords", "y_coords", "category_id")]
        rows = [tuple(map(int, row)) for row in zip(*columns, strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{at}: it needs x_coords, y_coords and category_id of one length: {error!r}"
        ) from error
    for number, (x, y, category) in enumerate(rows):
        if category not in _CATEGORIES:
            raise DataError(f"{at}, point {number}: the category {category} is none of 0, 1 and 255")
        yield ReadPoint(name, x, y, _CATEGORIES[category], f"{at}, point {number}")
