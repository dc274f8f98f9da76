"""Questions come image by image, along a short way."""

import numpy as np
import pyarrow as pa

from atal_ray.annotation.page.asking_order import in_asking_order, near_together


def test_points_of_an_image_are_asked_along_a_short_way() -> None:
    xy = np.array([[50, 50], [0, 0], [52, 50], [1, 1], [54, 49]])
    assert near_together(xy) == [0, 2, 4, 3, 1]
    assert near_together(xy[:1]) == [0]
    assert near_together(xy[:0]) == []


def test_the_images_stay_in_their_order() -> None:
    asked = pa.table({"image_id": ["b", "b", "b", "a", "c"], "x": [0, 9, 1, 5, 5], "y": [0, 9, 1, 5, 5]})
    found = in_asking_order(asked)
    assert found["image_id"].to_pylist() == ["b", "b", "b", "a", "c"]
    assert found["x"].to_pylist() == [0, 1, 9, 5, 5]
