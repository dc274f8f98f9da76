"""The order in which the page asks: image by image, the questions of an image along a short way."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def in_asking_order(asked: pa.Table) -> pa.Table:
    """Questions as the page numbers them.

    Args:
        asked: rows of QUERY_SCHEMA, those of an image together.
    """
    order: list[int] = []
    ids, xy = asked["image_id"].to_pylist(), np.stack([asked["x"].to_numpy(), asked["y"].to_numpy()], 1)
    start = 0
    for stop in range(1, len(ids) + 1):
        if stop == len(ids) or ids[stop] != ids[start]:
            order += [start + one for one in near_together(xy[start:stop])]
            start = stop
    return asked.take(pa.array(order, pa.int64())).combine_chunks()


def near_together(xy: NDArray[np.integer]) -> list[int]:
    """An order of the points of an image in which each is the nearest of the rest to the one before.

    Args:
        xy: column and row [N, 2]; the first one stays first.
    """
    left = list(range(1, len(xy)))
    order = [0] if len(xy) else []
    while left:
        away = ((xy[left] - xy[order[-1]]) ** 2).sum(1)
        order.append(left.pop(int(away.argmin())))
    return order
