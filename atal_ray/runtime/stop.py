"""SIGTERM, as sent by `ray job stop` and to a preempted machine, ends a process as Ctrl-C does."""

import signal
import threading
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was asked to end; the same command goes on from what is in its folder."""


def raise_on_sigterm() -> None:
    """Raise Terminated on SIGTERM, once, in the main thread; Ray takes the signal for itself, so call it
    again when Ray has started.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: Any) -> None:
    # A second SIGTERM ends the process at once: files appear whole in any case.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated
