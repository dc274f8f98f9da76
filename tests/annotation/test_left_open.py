"""What a round went on without is asked again, first of its image, and each pixel once."""

import pyarrow as pa

from atal_ray.annotation.left_open import asked_again
from atal_ray.labels.points import QUERY_SCHEMA


def table(number: int, *pixels: tuple[str, int]) -> pa.Table:
    rows, orders = [], {}
    for image_id, x in pixels:
        orders[image_id] = orders.get(image_id, -1) + 1
        rows.append(
            {"image_id": image_id, "x": x, "y": 7, "round": number, "order": orders[image_id], "score": 0.5}
            | {"superpixel": 3, "region": "SR"}
        )
    return pa.Table.from_pylist(rows, QUERY_SCHEMA)


def shown(tables: list[pa.Table]) -> list[tuple[str, int, int, int]]:
    rows = [row for one in tables for row in one.to_pylist()]
    return [(row["image_id"], row["x"], row["round"], row["order"]) for row in rows]


def test_left_questions_stand_before_the_new_ones_of_their_image() -> None:
    left = table(1, ("a", 1), ("b", 2), ("d", 3), ("d", 4), ("f", 5))
    picks = [table(2, ("b", 10), ("b", 11), ("c", 12)), table(2), table(2, ("d", 4), ("e", 13))]
    assert shown(list(asked_again(picks, left, 2))) == [
        ("a", 1, 2, 0),
        ("b", 2, 2, 0),
        ("b", 10, 2, 1),
        ("b", 11, 2, 2),
        ("c", 12, 2, 0),
        ("d", 3, 2, 0),
        ("d", 4, 2, 1),
        ("e", 13, 2, 0),
        ("f", 5, 2, 0),
    ]


def test_nothing_changes_where_nothing_is_left() -> None:
    picks = [table(2, ("b", 10), ("b", 11))]
    assert list(asked_again(picks, QUERY_SCHEMA.empty_table(), 2)) == picks
    assert shown(list(asked_again([], table(1, ("b", 1)), 2))) == [("b", 1, 2, 0)]
