"""What tables of answers say of the questions of a round."""

import logging
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.annotation.answer_table import place, read_rows, refuse
from atal_ray.campaign.campaign_folder import ANSWERS
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)

PAGE = "annotated.parquet"
"""The answers that were given on the page of `atal annotate`."""
OPEN = "questions.csv"
"""The questions without an answer, with an empty label: a form to fill in."""
ANSWERED = "answered.parquet"
"""The answers that were taken while others are awaited."""
PIXEL = ["image_id", "x", "y"]
_LIKE_ANSWERS = re.compile(
    r"(answer|question|label).*\.(csv|tsv|txt|json|jsonl|parquet|xlsx?|ods)$", re.IGNORECASE
)

Labels = np.ndarray[tuple[int], np.dtype[np.uint8]]
Places = np.ndarray[tuple[int], np.dtype[np.int64]]


def tables_of(out: Folder) -> list[str]:
    """The tables of answers in a folder; others that people may take for one are named in a warning."""
    names = out.names()
    mine = [name for name in names if name.lower() in ANSWERS or name == PAGE]
    for name in names:
        if name not in (*mine, OPEN, ANSWERED) and _LIKE_ANSWERS.match(name):
            logger.warning("%s is not read: name it %s", out.where(name), " or ".join(ANSWERS))
    order = (PAGE, *ANSWERS)
    return sorted(mine, key=lambda name: (order.index(name.lower()), name))


def given_answers(names: list[str], asked: pa.Table, out: Folder) -> tuple[Places, Labels]:
    """Which questions the tables answer, and how; each question once.

    Raises:
        DataError: a row cannot be read or answers no question of the round, or two rows answer one
            differently; all of these are named.
    """
    places, labels, rows, files = [], [], [], []
    problems: list[tuple[str, str]] = []
    for number, name in enumerate(names):
        table, wrong = read_rows(out, name)
        where = positions(table, asked)
        wrong += [_stranger(name, table, int(row), asked) for row in np.flatnonzero(where < 0)]
        problems += [(name, problem) for problem in wrong]
        mine = np.flatnonzero(table["label"].is_valid().to_numpy() & (where >= 0))
        places.append(where[mine])
        labels.append(table["label"].take(mine).to_numpy().astype(np.uint8))
        rows.append(table["row"].to_numpy()[mine])
        files.append(np.full(len(mine), number))
    if not places:
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    where, label, row, file = (np.concatenate(parts) for parts in (places, labels, rows, files))
    order = np.argsort(where, kind="stable")
    where, label, row, file = where[order], label[order], row[order], file[order]
    for at in np.flatnonzero((where[1:] == where[:-1]) & (label[1:] != label[:-1])):
        name, other = names[file[at + 1]], names[file[at]]
        problem = (
            f"{place(name, int(row[at + 1]))}, column label: another answer to the same question than in "
            f"{other}, {place(other, int(row[at]))}"
        )
        problems.append((name, problem))
    _refuse(out, problems)
    once = np.flatnonzero(np.r_[True, where[1:] != where[:-1]][: len(where)])
    return where[once], label[once]


def late_answers(asked: pa.Table, before: Iterable[Folder]) -> tuple[Places, Labels]:
    """The questions that tables of earlier rounds answer, in which they were asked first; a later round goes
    before an earlier one.
    """
    places, labels = [np.empty(0, np.int64)], [np.empty(0, np.uint8)]
    for folder in before:
        for name in [*tables_of(folder), *([OPEN] if is_filled_in(folder) else [])]:
            table, _ = read_rows(folder, name)
            where = positions(table, asked)
            mine = np.flatnonzero(table["label"].is_valid().to_numpy() & (where >= 0))
            places.append(where[mine])
            labels.append(table["label"].take(mine).to_numpy().astype(np.uint8))
    return np.concatenate(places), np.concatenate(labels)


def positions(table: pa.Table, asked: pa.Table) -> Places:
    """The number of the question that each row is about; -1 where it is none."""
    numbered = asked.select(PIXEL).append_column("question", pa.array(np.arange(asked.num_rows)))
    rows = table.select(PIXEL).append_column("at", pa.array(np.arange(table.num_rows)))
    found = _joined(rows, numbered)
    strangers = pa.array(found < 0)
    if pc.any(strangers).as_py():  # one name may be written in two ways, as on a Mac: ü as u and two dots
        again = _joined(_composed(rows.filter(strangers)), _composed(numbered))
        if len(again) == pc.sum(strangers).as_py():
            found[found < 0] = again
    return found


def _refuse(out: Folder, problems: list[tuple[str, str]]) -> None:
    """Raise DataError with the first problems of tables, each with the name of its table where there are
    several.
    """
    names = sorted({name for name, _ in problems})
    if len(names) > 1:
        refuse(f"{out.uri} ({', '.join(names)})", [f"{name}, {problem}" for name, problem in problems])
    elif names:
        refuse(out.where(names[0]), [problem for _, problem in problems])


def _joined(rows: pa.Table, numbered: pa.Table) -> Places:
    """The question of each row, in the order of the rows; -1 where there is none."""
    joined = rows.join(numbered, PIXEL, join_type="left outer").sort_by("at")
    return np.array(joined["question"].fill_null(-1).to_numpy(), np.int64)


def _composed(table: pa.Table) -> pa.Table:
    """The table with each image's id in Unicode's composed form."""
    return table.set_column(0, "image_id", pc.utf8_normalize(table["image_id"], form="NFC"))


def _stranger(name: str, table: pa.Table, row: int, asked: pa.Table) -> str:
    """What is wrong with a row that answers no question of this round."""
    image_id, x, y = (table[column][row].as_py() for column in PIXEL)
    at = place(name, table["row"][row].as_py())
    mine = asked.filter(pc.equal(asked["image_id"], image_id))
    if mine.num_rows:
        pixels = ", ".join(f"({q['x']}, {q['y']})" for q in mine.select(["x", "y"]).slice(0, 5).to_pylist())
        more = " and others" if mine.num_rows > 5 else ""
        return f"{at}, columns x and y: ({x}, {y}) was not asked of image {image_id}, but {pixels}{more}"
    bare = pc.equal(pc.utf8_ltrim(asked["image_id"], "0"), image_id.lstrip("0"))
    near = asked["image_id"].filter(bare)
    hint = (
        f"; if it is {near[0].as_py()}, a spreadsheet has dropped the zeros: format the column as text"
        if len(near)
        else ": leave the row out"
    )
    return f"{at}, column image_id: nothing was asked of image {image_id} in this round{hint}"


def is_filled_in(out: Folder) -> bool:
    """Whether the form holds labels: it is about to be written anew, so they are taken as from a table."""
    if not out.exists(OPEN):
        return False
    _, _, rows = out.read_bytes(OPEN).partition(b"\n")
    return re.search(rb"[^,;\s]\s*$", rows, re.MULTILINE) is not None
