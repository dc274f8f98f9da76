"""Two images with points of every label, one of them with a name that is hard on formats."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from point_tables import table_of

from atal_ray.annotation.formats.labelled_image import LabelledImage

POINTS = {
    "plain": [(0, 0, 0), (29, 19, 1), (7, 3, 255), (8, 3, 1)],
    'a <b> & "c".d': [(10, 11, 1), (0, 15, 0)],
}
SIZES = {"plain": (20, 30), 'a <b> & "c".d': (33, 17)}


@pytest.fixture
def images(tmp_path: Path) -> list[LabelledImage]:
    found = []
    for number, (image_id, points) in enumerate(sorted(POINTS.items())):
        height, width = SIZES[image_id]
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        path = tmp_path / "photos" / f"{image_id}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
        found.append(LabelledImage(image_id, str(path), height, width, table_of(image_id, points)))
    return found
