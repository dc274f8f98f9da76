"""SIGTERM, as `ray job stop` and a preempted machine send it, ends a process as Ctrl-C does: by an exception
that tidies up.
"""

import signal
import threading
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was told to end; what is in its folder is whole, and the same command goes on from there."""


def raise_on_sigterm() -> None:
    """Raise Terminated on SIGTERM, once, in the main thread; Ray takes the signal for itself, so call it
    again when Ray has started.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: Any) -> None:
    signal.signal(
        signal.SIGTERM, signal.SIG_DFL
    )  # a second one ends it at once: files appear whole in any case
    raise Terminated
