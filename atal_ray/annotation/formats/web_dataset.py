"""WebDataset: tar files of a thousand images or 256 MiB each with their points, read from end to end."""

import json
import tarfile
from io import BytesIO
from pathlib import PurePosixPath

from atal_ray.annotation.formats.label_maps import LabelMaps
from atal_ray.annotation.formats.labelled_image import LabelledImage, LabelledImages, by_files
from atal_ray.annotation.formats.point_format import PointFormat, point_format
from atal_ray.metrics.saliency_map import png
from atal_ray.store.folder import Folder

_COLUMNS = ("x", "y", "label", "round", "order", "score", "source")


@point_format("webdataset")
class WebDataset(PointFormat):
    """points-000000.tar, ...: of each image KEY.jpg, KEY.points.json and KEY.seg.png, a label map."""

    keeps = "everything but the superpixel; the images are inside"

    def write(self, images: LabelledImages, folder: Folder) -> None:
        """Write the tar files."""
        maps = LabelMaps(self.settings)
        for number, some in enumerate(by_files(images)):
            data = BytesIO()
            with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for image, pixels in some:
                    key = key_of(image.image_id)
                    kind = PurePosixPath(image.file_name).suffix.lower()
                    _add(archive, f"{key}{kind}", pixels)
                    _add(archive, f"{key}.points.json", _points(image))
                    _add(archive, f"{key}.seg.png", png(maps.drawn(image)))
            folder.write_bytes(f"points-{number:06d}.tar", data.getvalue())


def key_of(image_id: str) -> str:
    """The key of an image: its id, in which a dot would end the key."""
    return image_id.replace("%", "%25").replace(".", "%2E")


def _points(image: LabelledImage) -> bytes:
    rows = image.points.select([*_COLUMNS]).to_pylist()
    document = {
        "image_id": image.image_id,
        "height": image.height,
        "width": image.width,
        "points": rows,
    }
    return json.dumps(document).encode()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, BytesIO(data))
