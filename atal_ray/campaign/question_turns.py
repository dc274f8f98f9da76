"""The rounds of a campaign whose questions are asked on the page, one after another, as they come.

What people say lies in the folder of the round that waits for it:

    round-NN/
      annotated.log      every answer as it came, and every one that was taken back
      annotated.parquet  the answers as a table, which the campaign takes as any other
      controls.parquet   the control points that are mixed in, if there are any
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from atal_ray.annotation.answer_table import ANSWERED_SCHEMA, read_table
from atal_ray.annotation.answers import answered_elsewhere, labelled
from atal_ray.annotation.given_answers import PAGE, PIXEL
from atal_ray.annotation.page.answer_log import AnswerLog
from atal_ray.annotation.page.asking_order import in_asking_order
from atal_ray.annotation.page.question_desk import QuestionDesk
from atal_ray.annotation.page.server import PageServer, Questions, Turn
from atal_ray.campaign.annotate import answered_late
from atal_ray.campaign.campaign_folder import CONTROLS, MANIFEST, POINTS, QUERIES, SAID_LOG, CampaignFolder
from atal_ray.campaign.generate import configuration_of
from atal_ray.data.record import Record, records
from atal_ray.errors import DataError, counted
from atal_ray.labels.points import QUERY_SCHEMA, UNSURE, check_points
from atal_ray.store.folder import Folder
from atal_ray.store.lock import locked
from atal_ray.store.streamed import row_groups, sha256

PAGE_LOCK = "page"
LOOK_EVERY, WRITE_EVERY = 1.0, 2.0
"""Seconds between two looks at the campaign, and between two writings of the table while answers come in."""
RECORDS_KEPT = 4096
EXAMPLES = 3
"""Pixels of each label that people may look at, of those that were answered in earlier rounds."""

logger = logging.getLogger(__name__)


class QuestionTurns:
    """Serves the questions of the round that waits for answers, and of the next one when it has come.

    Args:
        campaign: the folder, on a disk.
        server: what it serves them by.
        shared: share of the questions that a second person is asked too.
        away: seconds after which the questions of somebody who does nothing are asked of others.
        controls: table of pixels whose label is known, if there is one.
        control_share: of these for each question that a person gets.
    """

    def __init__(
        self,
        campaign: CampaignFolder,
        server: PageServer,
        *,
        shared: float,
        away: float,
        controls: Path | None,
        control_share: float,
    ) -> None:
        self.campaign, self.server = campaign, server
        self.shared, self.away, self.controls, self.control_share = shared, away, controls, control_share
        self.config = configuration_of(campaign.root)
        self._open = ExitStack()
        self._record = lru_cache(RECORDS_KEPT)(self._find)

    def look(self) -> None:
        """Close a round that has its points, and open one whose questions have come."""
        turn = self.server.turn
        if turn is not None and self.campaign.round(turn.round).exists(POINTS):
            self.close()
            turn = None
        asked = self.campaign.open_questions() if turn is None else None
        if asked is not None:
            self.server.turn = self._open.enter_context(self._turn(asked + 1))
        self.server.over = self.server.turn is None and self.is_over()

    def is_over(self) -> bool:
        """Whether all rounds have their points."""
        self.config = configuration_of(self.campaign.root)  # the budget may have grown
        return self.campaign.rounds_with_points() >= self.config.rounds

    def close(self) -> None:
        """Take no more answers of the round that is open, and write what was said."""
        self.server.turn = None
        self._open.close()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again while the block runs."""
        stop = threading.Event()

        def watch() -> None:
            said = ""
            while not stop.wait(LOOK_EVERY):
                try:
                    self.look()
                    self.server.problem = ""
                except Exception as error:  # whatever it is, people go on and the page says it
                    self.server.problem = str(error)
                    if said != str(error):
                        logger.warning("%s", error)
                    said = str(error)

        thread = threading.Thread(target=watch, name="rounds", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.close()

    @contextmanager
    def _turn(self, number: int) -> Iterator[Turn]:
        out = self.campaign.round(number)
        with locked(out / PAGE_LOCK):
            table = in_asking_order(self.campaign.round(number - 1).read_table(QUERIES))
            controls = self._controls(out)
            before = answered_late(self.campaign, self.config, number)
            questions = Questions(
                pa.concat_tables([table, controls[0]]), self._record, examples(self.campaign, number)
            )
            digest = sha256(self.campaign.round(number - 1), QUERIES)
            with AnswerLog(Path(out.where(SAID_LOG)), digest) as log:
                desk = QuestionDesk(
                    table.num_rows,
                    answered_elsewhere(table, out, before),
                    log,
                    shared=self.shared,
                    controls=dict(enumerate(controls[1], table.num_rows)),
                    control_share=self.control_share,
                    away=self.away,
                    now=time.time,
                )
                written = _Table(table, desk, out)
                if log.entries:  # a kill may have come before the last ones were in the table
                    written.write()
                logger.info("round %d: %s", number, counted(table.num_rows, "question"))
                try:
                    yield Turn(number, questions, desk, written.changed)
                finally:
                    desk.close()
                    written.close()
                    self._say_left(number, desk)

    def _say_left(self, number: int, desk: QuestionDesk) -> None:
        left = desk.count - desk.answered()
        if not left:
            logger.info("round %d: every question has an answer", number)
        elif not self.campaign.round(number).exists(POINTS):
            logger.info(
                "round %d: %s without an answer; the same command goes on", number, counted(left, "question")
            )

    def _controls(self, out: Folder) -> tuple[pa.Table, list[int]]:
        """The control points of a round as questions, and their labels; those that it began with stay."""
        if self.controls is not None and not out.exists(CONTROLS):
            out.write_table(CONTROLS, self._read_controls(self.controls))
        if not out.exists(CONTROLS):
            return QUERY_SCHEMA.empty_table(), []
        table = out.read_table(CONTROLS)
        return _as_questions(table), table["label"].to_pylist()

    def _read_controls(self, path: Path) -> pa.Table:
        """A table of pixels with known labels; DataError names what is wrong with it."""
        table = read_table(Folder.at(path.parent), path.name)
        if not table.num_rows or table["label"].null_count or UNSURE in table["label"].to_pylist():
            raise DataError(f"{path}: a control point needs a label, foreground or background: give each one")
        found = {image_id: self._record(image_id) for image_id in set(table["image_id"].to_pylist())}
        heights, widths = (
            {key: getattr(one, side) for key, one in found.items()} for side in ("height", "width")
        )
        check_points(
            labelled(_as_questions(table), table["label"].to_numpy(), "control"), heights, widths, str(path)
        )
        return table.select(ANSWERED_SCHEMA.names).cast(ANSWERED_SCHEMA)

    def _find(self, image_id: str) -> Record:
        rows = self.campaign.root.read_between(MANIFEST, "image_id", image_id, image_id)
        if not rows.num_rows:
            raise DataError(f"{self.campaign.root.uri} has no image {image_id}")
        (found,) = records(rows, self.campaign.training_data(self.config))
        return found


def _as_questions(table: pa.Table) -> pa.Table:
    """Control points as rows of QUERY_SCHEMA."""
    fixed: dict[str, Any] = {"round": 0, "order": 0, "score": 0, "superpixel": -1, "region": "control"}
    columns = [
        table[field.name]
        if field.name in PIXEL
        else pa.array([fixed[field.name]] * table.num_rows, field.type)
        for field in QUERY_SCHEMA
    ]
    return pa.table(columns, schema=QUERY_SCHEMA)


def examples(campaign: CampaignFolder, number: int) -> tuple[tuple[str, int, int, int], ...]:
    """Some answered pixels of earlier rounds, as many of each label: image, column, row and label."""
    found: list[tuple[str, int, int, int]] = []
    for earlier in range(number - 1, -1, -1):
        for table in row_groups(campaign.round(earlier), POINTS, [*PIXEL, "label"]):
            for row in table.to_pylist():
                label = row["label"]
                if label != UNSURE and sum(one[3] == label for one in found) < EXAMPLES:
                    found.append((row["image_id"], row["x"], row["y"], label))
            break  # a group has thousands of rows
    return tuple(sorted(found, key=lambda one: -one[3]))


class _Table:
    """annotated.parquet, written at most every few seconds while answers come in."""

    def __init__(self, questions: pa.Table, desk: QuestionDesk, out: Folder) -> None:
        self.questions, self.desk, self.out = questions.select(PIXEL), desk, out
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed, self._said = False, ""

    def changed(self) -> None:
        """Write the table soon."""
        with self._lock:
            if self._timer is None and not self._closed:
                self._timer = threading.Timer(WRITE_EVERY, self._write_or_try_again)
                self._timer.daemon = True
                self._timer.start()

    def _write_or_try_again(self) -> None:
        try:
            self.write()
        except Exception as error:  # whatever it is: the log has the answers, and the table can wait
            if self._said != str(error):
                logger.warning("%s is written later: %s", self.out.where(PAGE), error)
            self._said = str(error)
            self.changed()

    def close(self) -> None:
        """Write the table for the last time."""
        with self._lock:
            self._closed = True
        self.write()

    def write(self) -> None:
        """Write the table now."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            labels = sorted(self.desk.labels().items())
            rows = self.questions.take(pa.array([number for number, _ in labels], pa.int64()))
            column = pa.array([label for _, label in labels], pa.uint8())
            self.out.write_table(PAGE, rows.append_column("label", column).cast(ANSWERED_SCHEMA))
