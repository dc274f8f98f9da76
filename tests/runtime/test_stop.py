"""A process that is asked to end: its status, its sentence, and that nobody takes the signals away."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from atal_ray import cli
from atal_ray.errors import CampaignError
from atal_ray.runtime import stop

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.fixture(autouse=True)
def handler_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stop, "_stop", stop._Stop())
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    stop._stop.deadline.cancel()
    for number, handler in before.items():
        signal.signal(number, handler)


def waits_as_ray_does(number: signal.Signals) -> None:
    """`ray.get`: what the handler raises is lost, another KeyboardInterrupt comes in its place."""
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None


def comes_out_as_another(number: signal.Signals) -> None:
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt as error:
        raise CampaignError("training failed: KeyboardInterrupt: no message") from error


def is_swallowed(number: signal.Signals) -> int:
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt:
        return 0
    return 1


@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize("work", [waits_as_ray_does, comes_out_as_another, is_swallowed])
def test_status_says_which_signal_came_whatever_became_of_the_exception(
    number: signal.Signals,
    status: int,
    work,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "dispatch", lambda arguments: work(number))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == f"{stop.SENTENCE}\n"


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_handlers_are_kept_from_those_who_would_take_them(number: signal.Signals, status: int) -> None:
    stop.stop_on_signals()
    with stop.handlers_kept():  # as Ray Train and ray.init do
        signal.signal(number, lambda *_: sys.exit(0))
        ctypes.CDLL(None).signal(int(number), ctypes.c_void_p(1))  # as C++ does, which Python cannot see
        before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # other signals are theirs
        assert signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
    signal.signal(signal.SIGUSR2, before)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert stop.exit_status() == status
    stop.stop_on_signals()  # for another command of the same process
    assert not stop.is_stopped()


STUBBORN = """
import os, signal, sys, time
from atal_ray.runtime import stop
stop.END_SECONDS = float(sys.argv[1])
stop.stop_on_signals()
while True:
    try:
        print("ready", flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        print("never mind", flush=True)
"""


@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize(("presses", "patience"), [(1, 0.2), (2, 60.0)])
def test_a_process_that_does_not_end_is_ended(
    number: signal.Signals, status: int, presses: int, patience: float
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(patience)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == b"never mind\n"
    if presses == 2:
        process.send_signal(number)
    assert process.wait(30) == status
    assert process.communicate()[1].decode() == f"{stop.SENTENCE}\n"
