"""The exit status of a process that was asked to end."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from atal_ray import cli
from atal_ray.runtime import stop


@pytest.fixture(autouse=True)
def handler_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stop, "_arrived", threading.Event())
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell ignores it for what runs in its background
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def waits_as_ray_does(number: signal.Signals) -> None:
    """`ray.get`: what the handler raises is lost, another KeyboardInterrupt comes in its place."""
    try:
        os.kill(os.getpid(), number)
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_status_says_which_signal_came_also_while_ray_waits(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "dispatch", lambda arguments: waits_as_ray_does(number))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    assert "the same command goes on from here" in capsys.readouterr().err


def test_second_sigterm_ends_the_process_at_once() -> None:
    stop.raise_on_sigterm()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
