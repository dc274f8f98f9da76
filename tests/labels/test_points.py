from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.errors import DataError
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA, PointIndex, check_points, concat

SIZES = ({"a": 10, "b": 4}, {"a": 20, "b": 5})  # heights, widths


def point(
    image_id: str = "a", x: int = 0, y: int = 0, label: int = 1, round_number: int = 0, order: int = 0
) -> dict[str, Any]:
    rest = {"score": 0.0, "superpixel": -1, "source": "seed"}
    return {
        "image_id": image_id,
        "x": x,
        "y": y,
        "label": label,
        "round": round_number,
        "order": order,
        **rest,
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), POINT_SCHEMA)


def test_points_are_questions_with_a_label_and_a_source() -> None:
    assert set(POINT_SCHEMA.names) - set(QUERY_SCHEMA.names) == {"label", "source"}
    assert set(QUERY_SCHEMA.names) - set(POINT_SCHEMA.names) == {"region"}
    assert not any(field.nullable for field in [*POINT_SCHEMA, *QUERY_SCHEMA])


def test_concat_keeps_the_order_and_takes_nothing() -> None:
    assert concat([]).schema == POINT_SCHEMA
    assert concat([table(point(x=3)), table(), table(point(x=1), point(x=2))])["x"].to_pylist() == [3, 1, 2]


def test_index_gives_each_image_its_points_in_the_order_of_asking() -> None:
    ids = ["b", "a", "a-1", "B", "a_1", "é", "aa"]
    rows = [
        point(i, x=10 * r + o, y=r, label=(r + o) % 2, round_number=r, order=o)
        for i in ids
        for r in range(3)
        for o in range(2)
    ]
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    index = PointIndex(table(*shuffled))
    for image_id in ids:
        xy, labels = index.of(image_id)
        assert xy.tolist() == [[0, 0], [1, 0], [10, 1], [11, 1], [20, 2], [21, 2]]
        assert labels.tolist() == [0, 1, 1, 0, 0, 1]
        assert (xy.dtype, labels.dtype) == (np.int32, np.uint8)


def test_an_index_on_disk_is_the_one_in_memory(tmp_path: Path) -> None:
    ids = sorted(["b", "a", "a-1", "B", "é", "aa", "c"])
    random = np.random.default_rng(0)
    of = {
        i: [point(i, x=int(random.integers(99)), round_number=r, order=o) for r in range(2) for o in range(n)]
        for n, i in enumerate(ids)
    }
    parts = [
        table(*(row for i in some for row in of[i][::-1]))
        for some in (ids[:1], ids[1:3], [], ids[3:6], ids[6:])
    ]
    found, expected = PointIndex.on_disk(parts, tmp_path / "index"), PointIndex(concat(parts))
    for image_id in [*ids, "", "a0", "zz"]:
        for ours, theirs in zip(found.of(image_id), expected.of(image_id), strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
            assert ours.flags.writeable
        assert len(found.of(image_id)[0]) == len(of.get(image_id, []))


def test_index_has_no_points_for_another_image_or_an_empty_table(tmp_path: Path) -> None:
    empty = (PointIndex(table()), PointIndex.on_disk([], tmp_path / "index"))
    for index in (PointIndex(table(point())), *empty):
        xy, labels = index.of("zebra")
        assert xy.shape == (0, 2)
        assert labels.shape == (0,)


def test_good_points_pass() -> None:
    corners = [point("a", x, y, label) for x, y, label in ((0, 0, 0), (19, 9, 1), (0, 9, 255))]
    check_points(table(*corners, point("b", 0, 0)), *SIZES)
    check_points(table(), *SIZES)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (point("c"), "no such image in the manifest"),
        (point("a", x=20), "outside the image of 20x10 pixels"),
        (point("a", y=10), "outside the image of 20x10 pixels"),
        (point("a", x=-1), "outside the image of 20x10 pixels"),
        (point("b", x=4, y=4), "outside the image of 5x4 pixels"),
        (point("a", x=5, label=2), "label is 2, expected 0 (background), 1 (salient) or 255 (unsure)"),
        (point("a", x=1, y=1, label=0, round_number=4), "this pixel is labelled twice"),
    ],
)
def test_a_bad_point_is_named_by_row(bad: dict[str, Any], sentence: str) -> None:
    good = [point("a", x=1, y=1), point("b", x=1, y=1)]
    with pytest.raises(DataError) as refusal:
        check_points(table(*good, bad, point("c", x=99)), *SIZES, name="points.parquet")
    assert str(refusal.value).startswith(
        f"points.parquet, row 2 (image {bad['image_id']}, x {bad['x']}, y {bad['y']}): "
    )
    assert sentence in str(refusal.value)


def test_a_table_of_other_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"points: columns are .*'label'"):
        check_points(table(point()).drop_columns(["source"]), *SIZES)
