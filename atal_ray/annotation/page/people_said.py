"""What the people of a round did, for the report: pace, agreement, control points, and disagreements."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from atal_ray.annotation.page.answer_log import latest, read_entries
from atal_ray.annotation.page.answers_of_people import labels_of, paces
from atal_ray.annotation.page.asking_order import in_asking_order
from atal_ray.campaign.campaign_folder import CONTROLS, SAID, SAID_LOG
from atal_ray.errors import DataError
from atal_ray.store.folder import Folder

SHOWN = 24
"""Disagreements that the report shows."""

logger = logging.getLogger(__name__)


def note_people(asked: pa.Table, out: Folder) -> None:
    """Write said.json of a round whose questions were answered on the page; nothing where they were not.

    A log that cannot be read costs the report this part, and is named.

    Args:
        asked: the questions, rows of QUERY_SCHEMA.
        out: folder of the round.
    """
    if not (out.is_local and out.exists(SAID_LOG)):
        return
    try:
        _, entries, _ = read_entries(Path(out.where(SAID_LOG)))
    except DataError as error:
        logger.warning("the report says nothing of people: %s", error)
        return
    said, questions = latest(entries), in_asking_order(asked)
    known = out.read_table(CONTROLS)["label"].to_pylist() if out.exists(CONTROLS) else []
    controls = dict(enumerate(known, questions.num_rows))
    answers = {number: entries for number, entries in said.items() if number < questions.num_rows}
    labels = labels_of(answers)
    split = [
        number
        for number, entries in sorted(answers.items())
        if len({entry.label for entry in entries.values() if not entry.review}) > 1
    ]
    shown: list[dict[str, Any]] = [
        {name: questions[name][number].as_py() for name in ("image_id", "x", "y")}
        | {"label": labels[number], "said": {who: one.label for who, one in answers[number].items()}}
        for number in split[:SHOWN]
    ]
    people = {who: asdict(pace) for who, pace in paces(said, controls).items()}
    out.write_json(SAID, {"people": people, "disagreements": len(split), "shown": shown})
