"""The answers of people: tables that they leave beside the questions become the points of a round, in one go
or in parts.
"""

import csv
import io
import logging
import time
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from atal_ray.annotation.answer_table import ANSWERED_SCHEMA, COLUMNS, LABELS, NAMES
from atal_ray.annotation.given_answers import (
    ANSWERED,
    OPEN,
    PAGE,
    PIXEL,
    Labels,
    Places,
    given_answers,
    is_filled_in,
    late_answers,
    positions,
    tables_of,
)
from atal_ray.config import AnnotationConfig
from atal_ray.errors import WaitingError, counted
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA
from atal_ray.store.folder import Folder

logger = logging.getLogger(__name__)

SINCE = "waiting.json"
"""When they were first asked for."""
_NAMED = 5
Answered = np.ndarray[tuple[int], np.dtype[np.bool_]]
"""Of each question whether it has an answer."""


def from_people(
    asked: pa.Table,
    out: Folder,
    questions: str,
    patience: AnnotationConfig | None = None,
    before: Iterable[Folder] = (),
) -> pa.Table:
    """The points that the tables of answers make of the questions.

    Answers that have come are kept where others are missing, and a table may hold the missing ones alone; an
    answer of a later table replaces one that was kept. Questions without an answer are left out where the
    others are enough.

    Args:
        asked: the questions, rows of QUERY_SCHEMA.
        out: folder of the round, where the tables are looked for.
        questions: where the questions are, for people.
        patience: how many answers are enough, and how long they are waited for; unset: all of them.
        before: folders of earlier rounds that have asked some of the questions already, the earliest first:
            answers that came late lie in their tables.

    Raises:
        WaitingError: questions are open; `OPEN` holds them.
        DataError: a table cannot be used; its rows are named, and nothing of it was taken.
    """
    patience = patience or AnnotationConfig()
    answered, labels = _answers(asked, out, before, warn=True)
    if answered.all():
        return labelled(asked, labels, "human")
    if _is_enough(answered, out, patience):
        left = counted(asked.num_rows - np.count_nonzero(answered), "question")
        logger.warning("%s: %s of %s without an answer; the round goes on", out.uri, left, f"{len(labels):,}")
        return labelled(asked.filter(pa.array(answered)), labels[answered], "human")
    _keep(asked, labels, answered, out)
    raise WaitingError(
        f"waiting for answers: {questions} holds {counted(asked.num_rows, 'question')}, "
        f"{np.count_nonzero(answered):,} of them answered. The open ones are in {out.where(OPEN)}: write "
        f"{LABELS} into its column label, save it there or as {out.where('answers.csv')} (or a table with "
        f"the columns {', '.join(COLUMNS)} as answers.parquet or answers.json beside it), and run the same "
        "command again. It may hold a part of the answers: what is there is kept"
    )


def answered_so_far(
    asked: pa.Table, out: Folder, patience: AnnotationConfig, before: Iterable[Folder] = ()
) -> tuple[int, bool]:
    """How many questions have an answer, and whether that is enough; nothing is taken or written.

    Raises:
        DataError: as for `from_people`.
    """
    answered = are_answered(asked, out, before)
    return int(np.count_nonzero(answered)), bool(answered.all() or _is_enough(answered, out, patience))


def are_answered(asked: pa.Table, out: Folder, before: Iterable[Folder] = ()) -> Answered:
    """Of each question whether it has an answer; as for `answered_elsewhere`, with those of the page."""
    return _answers(asked, out, before)[0]


def answered_elsewhere(asked: pa.Table, out: Folder, before: Iterable[Folder] = ()) -> list[int]:
    """The numbers of the questions that have an answer in a folder, those of the page apart.

    Args:
        asked: the questions.
        out: folder of the round.
        before: as for `from_people`.

    Raises:
        DataError: a table of answers cannot be used.
    """
    found: list[int] = np.flatnonzero(_answers(asked, out, before, page=False)[0]).tolist()
    return found


def corrected(points: pa.Table, asked: pa.Table, out: Folder) -> pa.Table | None:
    """The points of a round with the labels of its tables as they are now; None where these are the same.

    Answers that came after the points were made are left for the next round.

    Args:
        points: what was made of the tables, rows of POINT_SCHEMA.
        asked: the questions.
        out: folder of the round.

    Raises:
        DataError: as for `from_people`.
    """
    where, given = given_answers(tables_of(out), asked, out)
    mine = positions(points, asked)
    if (mine < 0).any():  # points of other questions: nothing here can say what they are now
        return None
    labels = points["label"].to_numpy()
    now = np.zeros(asked.num_rows, np.uint8)
    now[mine] = labels
    now[where] = given
    if np.array_equal(now[mine], labels):
        return None
    column = points.schema.get_field_index("label")
    return points.set_column(column, POINT_SCHEMA.field("label"), pa.array(now[mine]))


def forget_parts(out: Folder) -> None:
    """Remove what was only needed while answers were awaited."""
    for name in (ANSWERED, OPEN, SINCE):
        out.remove(name)


def _answers(
    asked: pa.Table, out: Folder, before: Iterable[Folder], *, warn: bool = False, page: bool = True
) -> tuple[Answered, Labels]:
    """Which questions have an answer, perhaps without those of the page, and which; later sources go before
    earlier ones.
    """
    answered = np.zeros(asked.num_rows, bool)
    labels = np.zeros(asked.num_rows, np.uint8)
    where, given = late_answers(asked, before)
    answered[where], labels[where] = True, given
    if out.exists(ANSWERED):
        kept = out.read_table(ANSWERED)
        where = positions(kept, asked)
        answered[where], labels[where] = True, kept["label"].to_numpy()
    tables = [name for name in tables_of(out) if page or name != PAGE]
    names = [*tables, *([OPEN] if is_filled_in(out) else [])]
    where, given = given_answers(names, asked, out)
    if warn:
        _say_replaced(asked, where[answered[where]], labels, given[answered[where]], names)
    answered[where], labels[where] = True, given
    return answered, labels


def _is_enough(answered: Answered, out: Folder, patience: AnnotationConfig) -> bool:
    if not answered.any():
        return False
    return bool(is_late(out, patience) or answered.mean() >= patience.enough)


def is_late(out: Folder, patience: AnnotationConfig) -> bool:
    """Whether a round has waited until its deadline."""
    hours = patience.deadline_hours
    if hours is None or not out.exists(SINCE):
        return False
    return bool(time.time() - out.read_json(SINCE)["since"] >= 3600 * hours)


def _say_replaced(asked: pa.Table, where: Places, kept: Labels, given: Labels, names: list[str]) -> None:
    """Warn of answers that were kept and are others now; `where` are the questions of `given`."""
    differ = np.flatnonzero(kept[where] != given)
    if not len(differ):
        return
    shown = [
        f"\n  image {row['image_id']}, ({row['x']}, {row['y']}): it was {NAMES[kept[where[at]]]}, "
        f"and is {NAMES[given[at]]}"
        for at in differ[:_NAMED]
        for row in asked.select(PIXEL).slice(int(where[at]), 1).to_pylist()
    ]
    more = f"\n  ... and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
    answers = counted(len(differ), "answer that was kept is", "answers that were kept are")
    logger.warning("%s replaced by %s:%s%s", answers, " and ".join(names), "".join(shown), more)


def _keep(asked: pa.Table, labels: Labels, answered: Answered, out: Folder) -> None:
    """Write what is answered, the rest as a form, and since when it is awaited."""
    if not out.exists(SINCE):
        out.write_json(SINCE, {"since": time.time()})
    rows = asked.select(PIXEL).append_column(ANSWERED_SCHEMA.field("label"), pa.array(labels))
    kept = answered.copy()
    if out.exists(PAGE):  # which people may still change there
        there = positions(out.read_table(PAGE), asked)
        kept[there[there >= 0]] = False
    if kept.any() or out.exists(ANSWERED):
        out.write_table(ANSWERED, rows.filter(pa.array(kept)).cast(ANSWERED_SCHEMA))
    out.write_lines(OPEN, _form(asked.filter(pa.array(~answered))))


def _form(questions: pa.Table) -> Iterator[str]:
    """Lines of a CSV table of questions with empty labels.

    Where a name is not ASCII the file begins with a byte-order mark, without which Excel takes it for ANSI.
    """
    mark = "" if pc.all(pc.string_is_ascii(questions["image_id"])).as_py() is not False else "\ufeff"
    yield mark + ",".join(COLUMNS)
    for batch in questions.select(PIXEL).to_batches(max_chunksize=65_536):
        for image_id, x, y in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow([image_id, x, y, ""])
            yield line.getvalue()


def labelled(asked: pa.Table, labels: Labels, source: str) -> pa.Table:
    """The questions (QUERY_SCHEMA) with their labels as points (POINT_SCHEMA)."""
    assert asked.schema.names == QUERY_SCHEMA.names
    columns = {name: asked[name] for name in asked.schema.names if name in POINT_SCHEMA.names}
    columns |= {"label": pa.array(labels), "source": pa.array([source] * asked.num_rows, pa.string())}
    return pa.table([columns[field.name] for field in POINT_SCHEMA], schema=POINT_SCHEMA)
