"""Tables of points for tests."""

import pyarrow as pa

from atal_ray.labels.points import POINT_SCHEMA


def table_of(image_id: str, points: list[tuple[int, int, int]]) -> pa.Table:
    rows = [
        {
            "image_id": image_id,
            "x": x,
            "y": y,
            "label": label,
            "round": number // 2,
            "order": number % 2,
            "score": 0.25 * number,
            "superpixel": 5 + number,
            "source": "oracle",
        }
        for number, (x, y, label) in enumerate(points)
    ]
    return pa.Table.from_pylist(rows, POINT_SCHEMA)
