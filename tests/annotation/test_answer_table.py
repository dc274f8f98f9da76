"""Tables that people write: Parquet, CSV and JSON, words as labels, and every bad row named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atal_ray.annotation.answer_table import COLUMNS, read_table
from atal_ray.errors import DataError
from atal_ray.store.folder import Folder

ROWS = [("a", 3, 4, "foreground"), ("007", 0, 9, "background"), ("c, d", 5, 5, "unsure"), ("a", 1, 1, "")]
LABELS = [1, 0, 255, None]


def read(tmp_path, name, content):
    path = tmp_path / name
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(Folder(str(tmp_path)), name)


def csv_of(rows, delimiter=","):
    quoted = [[f'"{value}"' if delimiter in str(value) else str(value) for value in row] for row in rows]
    return "\n".join(delimiter.join(row) for row in [COLUMNS, *quoted]) + "\n"


def objects(rows):
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_of(ROWS)),
        ("a.csv", csv_of(ROWS, ";").encode("utf-8-sig")),  # as a spreadsheet saves it
        ("a.csv", csv_of(ROWS, "\t").replace("\n", "\r\n")),
        ("a.json", json.dumps(objects(ROWS))),
        ("a.json", "\n".join(json.dumps(row) for row in objects(ROWS))),
        ("a.parquet", pa.Table.from_pylist(objects(ROWS))),
    ],
)
def test_every_form_holds_the_same_rows(tmp_path, name, content):
    found = read(tmp_path, name, content)
    assert found["label"].to_pylist() == LABELS
    pixels = [tuple(row.values()) for row in found.select(["image_id", "x", "y"]).to_pylist()]
    assert pixels == [row[:3] for row in ROWS]


@pytest.mark.parametrize(
    "labels", [["1", "0", "255", ""], [1, 0, 255, None], [1.0, 0.0, 255.0, float("nan")]]
)
def test_numbers_are_labels_too_as_other_programs_write_them(tmp_path, labels):
    rows = [(*row[:3], label) for row, label in zip(ROWS, labels, strict=True)]
    assert read(tmp_path, "a.parquet", pa.Table.from_pylist(objects(rows)))["label"].to_pylist() == LABELS
    if isinstance(labels[0], str):
        assert read(tmp_path, "a.csv", csv_of(rows))["label"].to_pylist() == LABELS


def test_bad_values_are_named_by_line_and_column(tmp_path):
    rows = [("a", 3, 4, "dog"), ("b", "left", 4, 1), ("", 1, 1, 0), ("d", 1, 2.5, 0), ("e", 1, 1, "Unsure")]
    with pytest.raises(DataError) as caught:
        read(tmp_path, "a.csv", csv_of(rows))
    text = str(caught.value)
    assert "a.csv: 4 values cannot be used" in text
    assert "line 2, column label: 'dog' is no label: write foreground, background or unsure (or 1, 0" in text
    assert "line 3, column x: 'left': write the whole number of the question" in text
    assert "line 4, column image_id: it is empty: write the image_id of the question" in text
    assert "line 5, column y: '2.5'" in text
    assert "line 6" not in text


def test_rows_of_other_forms_count_from_0_and_ten_are_named(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "a.json", json.dumps(objects([("a", -1, 4, True)] * 7)))
    text = str(caught.value)
    assert "row 0, column x: -1: write the whole number" in text
    assert "row 0, column label: True is no label" in text
    assert "row 4" in text
    assert "row 5" not in text
    assert "... and 4 more" in text


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "image_id,x,y\na,1,2\n", "has no column label: it needs image_id, x, y, label"),
        ("a.csv", "", "has no column image_id, x, y, label"),
        ("a.csv", "image_id,x,y,label,x\na,1,2,1,4\n", "has the column x more than once"),
        ("a.csv", csv_of(ROWS) + "a,1\n", "line 6: 2 values for 4 columns"),
        (
            "a.csv",
            csv_of([("caf\xe9", 1, 1, 1)]).encode("latin-1"),
            "is not UTF-8 text.*save it as CSV in UTF-8",
        ),
        ("a.json", "[{", "is not valid JSON"),
        ("a.json", "3", "holds no list of objects"),
        ("a.json", '[{"image_id": "a", "x": 1}]', "row 0 has no column y"),
        ("a.json", "[[1, 2]]", "row 0: .* is no object"),
        ("a.parquet", "no table", "cannot be read as a Parquet table"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_by_name(tmp_path, name, content, sentence):
    with pytest.raises(DataError, match=rf"{name}.*{sentence}"):
        read(tmp_path, name, content)
