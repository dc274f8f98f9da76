"""Intersection over union of the map above one half and the mask."""

import numpy as np
import numpy.typing as npt

from atal_ray.metrics.image_metric import ImageMetric


class Iou(ImageMetric):
    """|P and M| / |P or M|, where P is where the map is above 127; 1 where both are empty."""

    label = "IoU"

    def __call__(self, saliency: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> float:
        """Between 0 and 1."""
        found = saliency > 127
        union = np.count_nonzero(found | mask)
        return np.count_nonzero(found & mask) / union if union else 1.0
