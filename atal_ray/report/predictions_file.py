"""The file between the evaluation and the page: predictions of a few test images, as small PNG."""

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.metrics.saliency_map import png
from atal_ray.report.picture_size import fit
from atal_ray.store.folder import Folder

PREDICTIONS = "predictions.parquet"
TEST_IMAGES = 3
"""Of each test set."""
PREDICTION_SCHEMA = pa.schema(
    [
        pa.field("test_set", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("prediction", pa.binary(), nullable=False),  # PNG of 8 bits
    ]
)

Predictions = dict[tuple[str, str], NDArray[np.uint8]]
"""(test set, image) -> the ensemble's saliency map, 255 for 1."""


def small_png(saliency: NDArray[np.uint8]) -> bytes:
    """A saliency map [H, W] as a PNG that is no larger than the page shows it."""
    height, width = saliency.shape
    shape = fit(height, width)
    if shape[0] < height:
        saliency = np.asarray(cv2.resize(saliency, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return png(saliency)


def read_predictions(folder: Folder) -> Predictions:
    """The predictions of a round; none where it left no file."""
    if not folder.exists(PREDICTIONS):
        return {}
    return {
        (row["test_set"], row["image_id"]): np.asarray(
            cv2.imdecode(np.frombuffer(row["prediction"], np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8
        )
        for row in folder.read_table(PREDICTIONS).to_pylist()
    }
