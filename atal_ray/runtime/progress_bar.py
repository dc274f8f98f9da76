"""The one kind of progress bar: a line that moves on a terminal, a line now and then in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

LOG_SECONDS = 10.0
"""Between two lines of a log: a job of days leaves kilobytes an hour, and a reader sees that it moves."""


def progress_bar(total: int, title: str, unit: str, *, done: int = 0, shown: bool = True) -> "tqdm[Any]":
    """A bar on standard error, to be used as a context.

    Args:
        total: units of work in all.
        title: what is being done.
        unit: one of them.
        done: so many were done before.
        shown: False for none.
    """
    if sys.stderr.isatty():
        return tqdm(total=total, desc=title, unit=unit, initial=done, disable=not shown)
    return tqdm(
        total=total,
        desc=title,
        unit=unit,
        initial=done,
        disable=not shown,
        file=LogLines(),
        mininterval=LOG_SECONDS,
        maxinterval=LOG_SECONDS,
    )


def tracked(items: Iterable[Item], total: int, *, title: str, unit: str) -> Iterator[Item]:
    """The items, each counted by a bar when it is taken."""
    with progress_bar(total, title, unit) as bar:
        for item in items:
            bar.update(1)
            yield item


class LogLines:
    """Standard error of a program whose output is kept: each state of a bar is a line, where a terminal
    returns to its start.
    """

    def write(self, text: str) -> None:
        """Write what tqdm would have drawn over the last line."""
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        """Hand on what is written."""
        sys.stderr.flush()
