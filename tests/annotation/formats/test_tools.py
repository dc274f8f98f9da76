"""The libraries that the formats are for read every point to the pixel; `make test-all` installs them."""

import json
import subprocess
from pathlib import Path

import pytest

from atal_ray.annotation.formats import ALL
from atal_ray.annotation.formats.labelled_image import LabelledImage
from atal_ray.store.folder import Folder

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv/formats/bin/python"
READERS = Path(__file__).with_name("tool_readers.py")
BY_FILE = {"coco": ".jpg", "cvat": ""}
"""Formats that name an image by its file; the ending that the library leaves."""
SURE_ALONE = ("coco",)

READ = ("parquet", "huggingface", "labelme", "coco", "label-studio", "cvat", "webdataset")
FIFTYONE = pytest.mark.skipif(
    not list(PYTHON.parents[1].glob("lib/*/site-packages/fiftyone")), reason="needs fiftyone"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs make .venv/formats/installed"),
]


@pytest.mark.parametrize("name", [*READ, pytest.param("fiftyone", marks=FIFTYONE)])
def test_the_library_reads_every_point(name: str, images: list[LabelledImage], tmp_path: Path) -> None:
    ALL[name]().write(images, Folder(str(tmp_path / "out")))
    done = subprocess.run(
        [PYTHON, READERS, name, tmp_path / "out"], check=True, capture_output=True, text=True
    )
    found = {(image.removesuffix(BY_FILE.get(name, "")), x, y, label) for image, x, y, label in _rows(done)}
    assert found == {
        (image.image_id, int(x), int(y), int(label))
        for image in images
        for (x, y), label in zip(image.xy, image.labels, strict=True)
        if label != 255 or name not in SURE_ALONE
    }


def _rows(done: subprocess.CompletedProcess[str]) -> list[tuple[str, int, int, int]]:
    rows: list[tuple[str, int, int, int]] = json.loads(done.stdout.strip().splitlines()[-1])
    return rows
