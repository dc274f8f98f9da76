"""The answers of people as they came, on a local disk: lines are added and never changed."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from atal_ray.errors import DataError


@dataclass(frozen=True)
class LogEntry:
    """One thing that a person did.

    Args:
        who: their name.
        question: its number among the questions of the round.
        label: 0, 1 or 255; None takes the answer back.
        milliseconds: from when the question was shown.
        at: seconds since 1970.
        review: whether it was said in a review, and so goes before what was answered.
    """

    who: str
    question: int
    label: int | None
    milliseconds: int
    at: float
    review: bool = False


class AnswerLog:
    """A file of entries, a JSON object a line, the first of which says which questions they are about.

    An entry is on the disk when `add` returns. A line that was cut short by a power failure or a kill is
    removed when the log is opened: the answer that was being written is asked again.

    Args:
        path: the file; made if it is not there.
        questions: digest of the questions.

    Raises:
        DataError: the file is about other questions, or is damaged before its last line.
    """

    def __init__(self, path: Path, questions: str) -> None:
        self.path = path
        self.entries: list[LogEntry] = []
        whole = self._read(questions) if path.exists() else 0
        self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self._write({"questions": questions})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, entry: LogEntry) -> None:
        """Write an entry."""
        self._write(asdict(entry))
        self.entries.append(entry)

    def _write(self, document: dict[str, object]) -> None:
        self._file.write(json.dumps(document).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, questions: str) -> int:
        """Read the entries; the number of bytes that hold whole lines."""
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                document = json.loads(line)
                if number == 1:
                    known = document["questions"]
                else:
                    self.entries.append(LogEntry(**document))
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(f"{self.path}, line {number} is damaged: {error}; remove the line") from error
            if number == 1 and known != questions:
                raise DataError(
                    f"{self.path} holds answers to other questions: move it away, and start again"
                )
        return whole


def latest(entries: Iterable[LogEntry]) -> dict[int, dict[str, LogEntry]]:
    """What each person last said of each question, but for what was taken back: question -> who -> entry."""
    found: dict[int, dict[str, LogEntry]] = {}
    for entry in entries:
        said = found.setdefault(entry.question, {})
        said.pop(entry.who, None)  # the latest stands last
        if entry.label is not None:
            said[entry.who] = entry
    return {question: said for question, said in found.items() if said}
