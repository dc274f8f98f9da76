"""A table of labelled pixels that people or their programs wrote: Parquet, CSV or JSON, as Arrow, checked."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from atal_ray.errors import CampaignError, DataError, counted
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE
from atal_ray.store.folder import Folder

COLUMNS = ("image_id", "x", "y", "label")
TABLE_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("x", pa.int32(), nullable=False),
        pa.field("y", pa.int32(), nullable=False),
        pa.field("label", pa.uint8()),  # null: not answered yet
        pa.field("row", pa.int64(), nullable=False),  # where the row is in its file, see `place`
    ]
)
ANSWERED_SCHEMA = pa.schema([TABLE_SCHEMA.field(name) for name in COLUMNS])
"""Rows of TABLE_SCHEMA without their places."""
WORDS = {
    "foreground": SALIENT,
    "salient": SALIENT,
    "background": BACKGROUND,
    "unsure": UNSURE,
    "1": SALIENT,
    "0": BACKGROUND,
    "255": UNSURE,
}
"""What a label may be written as, in small or capital letters."""
NAMES = {SALIENT: "foreground", BACKGROUND: "background", UNSURE: "unsure"}
"""How sentences name a label."""
LABELS = "foreground, background or unsure (or 1, 0, 255)"
_NAMED = 10  # rows named in an error
_DELIMITERS = ",;\t"

Row = dict[str, Any]


def read_table(folder: Folder, name: str) -> pa.Table:
    """The rows of a table of pixels, as `read_rows` reads them.

    Raises:
        DataError: it cannot be read, lacks a column, or has a value that cannot be used; the rows are named.
    """
    table, problems = read_rows(folder, name)
    refuse(folder.where(name), problems)
    return table


def read_rows(folder: Folder, name: str) -> tuple[pa.Table, list[str]]:
    """The rows of a table of pixels that can be used, as TABLE_SCHEMA, and what is wrong with the others; an
    empty label is one that is still to come.

    The name says what it is: `.csv` (UTF-8, separated by commas, semicolons or tabs, with a line of names),
    `.json` (a list of objects, or one object a line) or Parquet. Other columns than COLUMNS are passed over.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    where = folder.where(name)
    rows: Iterable[tuple[int, Row]]
    if name.lower().endswith(".csv"):
        rows = _csv_rows(folder.read_bytes(name), where)
    elif name.lower().endswith(".json"):
        rows = _json_rows(folder.read_bytes(name), where)
    else:
        rows = _parquet_rows(folder, name)
    columns: dict[str, list[Any]] = {field.name: [] for field in TABLE_SCHEMA}
    problems: list[str] = []
    for number, row in rows:
        values: Row = {"row": number}
        for column in COLUMNS:
            try:
                values[column] = _READ[column](row[column])
            except ValueError as error:
                problems.append(f"{place(name, number)}, column {column}: {error}")
        if len(values) == len(columns):
            for column, value in values.items():
                columns[column].append(value)
    table = pa.table([pa.array(columns[f.name], f.type) for f in TABLE_SCHEMA], schema=TABLE_SCHEMA)
    return table, problems


def place(name: str, number: int) -> str:
    """What to call a row of a table: the line of a CSV file, as an editor or a spreadsheet counts, or the row
    of another file, from 0.
    """
    return f"{'line' if name.lower().endswith('.csv') else 'row'} {number}"


def refuse(where: str, problems: list[str]) -> None:
    """Raise DataError with the first problems of a table, each on a line of its own, if there are any."""
    if problems:
        more = f"\n  ... and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise DataError(
            f"{where}: {counted(len(problems), 'value')} cannot be used, so nothing of the table was taken:"
            + "".join(f"\n  {problem}" for problem in problems[:_NAMED])
            + f"{more}\nCorrect the table and run the same command again."
        )


def _parquet_rows(folder: Folder, name: str) -> Iterator[tuple[int, Row]]:
    try:
        table = folder.read_table(name)
    except CampaignError as error:
        raise DataError(str(error)) from error
    _require_columns(table.schema.names, folder.where(name))
    columns = [table[column].to_pylist() for column in COLUMNS]
    rows = zip(*columns, strict=True)
    return ((number, dict(zip(COLUMNS, row, strict=True))) for number, row in enumerate(rows))


def _csv_rows(data: bytes, where: str) -> Iterator[tuple[int, Row]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text ({error}): save it as CSV in UTF-8") from error
    heading = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip() for name in next(reader, [])]
    _require_columns(names, where)
    try:
        for row in reader:
            if not any(value.strip() for value in row):
                continue
            if len(row) != len(names):
                raise DataError(
                    f"{where}, line {reader.line_num}: {counted(len(row), 'value')} for "
                    f"{counted(len(names), 'column')} ({', '.join(names)}): write one for each"
                )
            yield reader.line_num, dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: cannot be read as CSV: {error}") from error


def _json_rows(data: bytes, where: str) -> Iterator[tuple[int, Row]]:
    try:
        found = json.loads(data)
    except ValueError as error:
        try:
            found = [json.loads(line) for line in data.splitlines() if line.strip()]
        except ValueError:
            raise DataError(f"{where} is not valid JSON: {error}") from error
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise DataError(
            f"{where} holds no list of objects: write one object with {', '.join(COLUMNS)} a point"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{where}, row {number}: {row!r} is no object with {', '.join(COLUMNS)}")
        complete = {"label": None, **row}
        _require_columns(list(complete), f"{where}, row {number}")
        yield number, complete


def _require_columns(names: list[str], where: str) -> None:
    absent = [name for name in COLUMNS if name not in names]
    if absent:
        raise DataError(f"{where} has no column {', '.join(absent)}: it needs {', '.join(COLUMNS)}")
    doubled = sorted({name for name in COLUMNS if names.count(name) > 1})
    if doubled:
        raise DataError(f"{where} has the column {doubled[0]} more than once: leave one")


def _image_id(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"{_shown(value)}: write the image_id of the question")
    return str(value)


def _coordinate(value: object) -> int:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.5
    except ValueError:
        number = 0.5
    if not number.is_integer() or not 0 <= number < 2**31:
        raise ValueError(f"{_shown(value)}: write the whole number of the question")
    return int(number)


def _label(value: object) -> int | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):  # NaN: what pandas makes of empty
        return None
    word = str(value).strip().lower().removesuffix(".0")
    if not word:
        return None
    if word not in WORDS:
        raise ValueError(f"{_shown(value)} is no label: write {LABELS}, or leave it empty to answer it later")
    return WORDS[word]


def _shown(value: object) -> str:
    return "it is empty" if value is None or value == "" else repr(value)


_READ: dict[str, Callable[[object], Any]] = {
    "image_id": _image_id,
    "x": _coordinate,
    "y": _coordinate,
    "label": _label,
}
