"""SIGTERM, as sent by `ray job stop` and to a preempted machine, ends a process as Ctrl-C does."""

import signal
import threading
from typing import Any

_arrived = threading.Event()


def raise_on_sigterm() -> None:
    """Raise KeyboardInterrupt on SIGTERM, once, in the main thread; Ray takes the signal for itself, so call
    it again when Ray has started.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def exit_status() -> int:
    """What a shell expects of a process that was interrupted: 128 + SIGTERM where that came, else + SIGINT.

    The exception cannot tell: while `ray.get` or `ray.wait` waits, Ray replaces whatever a signal handler
    raises with a KeyboardInterrupt of its own.
    """
    return 128 + (signal.SIGTERM if _arrived.is_set() else signal.SIGINT)


def _terminate(number: int, frame: Any) -> None:
    # A second SIGTERM ends the process at once: files appear whole in any case.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _arrived.set()
    raise KeyboardInterrupt
