"""Ctrl-C and SIGTERM: one of them ends any command within seconds, with one sentence and the status that a
shell expects.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SENTENCE = "atal: stopped; the same command goes on from here"
END_SECONDS = 10.0
"""After which a process that was asked to end, and is still giving things back, ends as it is."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Stop:
    """Which signal came first."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.deadline = threading.Timer(END_SECONDS, self.end)
        self.deadline.daemon = True

    def arrive(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt at the first signal, and end the process at the second.

        The exception may get lost: code that Python calls back, such as a finaliser, cannot raise, and giving
        things back may wait for something that never comes. So the process ends in any case; files appear
        whole.
        """
        if self.number is not None:
            self.end()
        self.number = number
        self.deadline.start()
        raise KeyboardInterrupt

    def end(self) -> None:
        """End the process at once; the operating system frees its locks, and its Ray ends with it."""
        os.write(2, f"{SENTENCE}\n".encode())  # past the buffers, whose lock the main thread may hold
        os._exit(exit_status())


_stop = _Stop()


def stop_on_signals() -> None:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt in the main thread, once; a second one ends the
    process.
    """
    global _stop
    _stop.deadline.cancel()  # of an earlier command of this process
    _stop = _Stop()
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, _stop.arrive)


def is_stopped() -> bool:
    """Whether a signal asked this process to end."""
    return _stop.number is not None


def exit_status() -> int:
    """What a shell expects of a process that was interrupted: 128 + the number of the signal.

    The exception cannot tell: while `ray.get` or `ray.wait` waits, Ray replaces whatever a signal handler
    raises with a KeyboardInterrupt of its own.
    """
    return 128 + (signal.SIGINT if _stop.number is None else _stop.number)


def say_stopped() -> None:
    """Write the sentence for a person who pressed Ctrl-C: all is given back that was to be."""
    _stop.deadline.cancel()
    print(SENTENCE, file=sys.stderr)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """SIGINT and SIGTERM keep their handlers while the block runs, whatever it tries to install.

    `ray.init` takes SIGTERM twice: in Python, to end the process with status 15, and in C++, to abort it;
    `ray.shutdown` leaves it without a handler. Ray Train takes SIGINT, leaves its handler when it is done,
    and ends the process with status 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    original: Any = signal.signal

    def install(number: int, handler: Any) -> Any:
        return signal.getsignal(number) if number in _SIGNALS else original(number, handler)

    signal.signal = install  # type: ignore[assignment]
    try:
        yield
    finally:
        signal.signal = original
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is not None:  # Python cannot see what C++ installs, so it is installed again
                signal.signal(number, handler)
