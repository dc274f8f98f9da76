"""The answers of people as they came, on a local disk: lines are added and never changed."""

import errno
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from atal_ray.errors import CampaignError, DataError


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

    @property
    def voice(self) -> str:
        """Whose word it is: what somebody said in a review does not replace their own answer."""
        return f"{self.who} (review)" if self.review else self.who


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
        whole = 0
        if path.exists():
            known, self.entries, whole = read_entries(path)
            if whole and known != questions:
                raise DataError(f"{path} holds answers to other questions: move it away, and start again")
        self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._whole = whole
        self._cut()
        if not whole:
            self._write({"questions": questions})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, entry: LogEntry) -> None:
        """Write an entry; CampaignError where the disk takes no more, and nothing is written then."""
        self._write(asdict(entry))
        self.entries.append(entry)

    def _write(self, document: dict[str, object]) -> None:
        line = json.dumps(document).encode() + b"\n"
        try:
            self._cut()  # what a failed write may have left
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
            self._whole += len(line)
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise CampaignError(f"{self.path} cannot be written: {error.strerror}") from error

    def _cut(self) -> None:
        """Remove what stands after the last whole line."""
        self._file.truncate(self._whole)
        self._file.seek(self._whole)


def read_entries(path: Path) -> tuple[str, list[LogEntry], int]:
    """What a log holds: the digest of its questions, its entries, and the bytes of its whole lines.

    Raises:
        DataError: it is damaged before its last line.
    """
    data, digest, entries = path.read_bytes(), "", []
    whole = data.rfind(b"\n") + 1
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            document = json.loads(line)
            if number == 1:
                digest = document["questions"]
            else:
                entries.append(LogEntry(**document))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}, line {number} is damaged: {error}; remove the line") from error
    return digest, entries, whole


def latest(entries: Iterable[LogEntry]) -> dict[int, dict[str, LogEntry]]:
    """What each voice last said of each question, but for what was taken back: question -> voice -> entry."""
    found: dict[int, dict[str, LogEntry]] = {}
    for entry in entries:
        said = found.setdefault(entry.question, {})
        said.pop(entry.voice, None)  # the latest stands last
        if entry.label is not None:
            said[entry.voice] = entry
    return {question: said for question, said in found.items() if said}
