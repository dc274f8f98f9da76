"""Ray's lines about a healthy run that read like failures, kept from the terminal; all others arrive."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HARMLESS = (
    "Token authentication is enabled for this Ray cluster",  # how Ray 2.60 guards a local cluster
    "the actor restart will fail",  # of actors whose arguments Ray Data itself keeps alive
)
END_SECONDS = 5.0
_LOGGERS = ("ray._private.authentication.authentication_token_setup",)
_FILTER = (
    "import sys\n"
    "harmless = [part.encode() for part in sys.argv[1:]]\n"
    "for line in sys.stdin.buffer:\n"
    "    if not any(part in line for part in harmless):\n"
    "        sys.stdout.buffer.write(line)\n"
    "        sys.stdout.buffer.flush()\n"
)


@contextmanager
def harmless_lines_hidden() -> Iterator[None]:
    """Leave these lines out of standard error while the block runs; with --log-level debug they are shown.

    Ray's C++ code writes to the file descriptor, so that one is led through a process that drops them. It is
    a process, and in a session of its own, because it must hand on what Ray says before it aborts this
    process, and outlive Ctrl-C. Python's own standard error, progress bars included, goes straight on.
    """
    if logging.getLogger("atal_ray").isEnabledFor(logging.DEBUG):
        yield
        return
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_wanted)
    try:
        with _descriptor_filtered():
            yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(part in message for part in HARMLESS)


@contextmanager
def _descriptor_filtered() -> Iterator[None]:
    sys.stderr.flush()
    terminal, python = os.dup(2), sys.stderr
    incoming, outgoing = os.pipe()
    lines = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _FILTER, *HARMLESS],
        stdin=incoming,
        stdout=terminal,
        start_new_session=True,
    )
    os.dup2(outgoing, 2)
    os.close(incoming)
    os.close(outgoing)
    if _descriptor_of(python) == 2:
        straight = os.fdopen(os.dup(terminal), "wb")
        sys.stderr = io.TextIOWrapper(straight, errors="backslashreplace", line_buffering=True)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)  # closes the pipe, so that the process ends when it has handed on what is in it
        sys.stderr = python
        os.close(terminal)
        with suppress(subprocess.TimeoutExpired):  # another process may hold the pipe
            lines.wait(END_SECONDS)


def _descriptor_of(stream: object) -> int | None:
    """The file descriptor that a stream writes to; None for one in memory."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
