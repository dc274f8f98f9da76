"""The lease on an object store: one process at a time, none locked out for ever, and who lost it stops."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from stores import Store

from atal_ray.errors import CampaignError
from atal_ray.store import lock
from atal_ray.store.folder import Folder
from atal_ray.store.lock import LOCK, Lease, Times, locked

QUICK = Times(beat=0.2, stale=3, settle=0.1)
HOLD = """
import sys
from atal_ray.store.lock import Times, locked

with locked(sys.argv[1], Times(beat=0.2, stale=3, settle=0.1)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(s3: Store) -> Folder:
    return s3.folder()


def test_one_process_at_a_time_and_a_killed_one_for_seconds(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with (
            pytest.raises(CampaignError, match=r"runs/first\?.* is in use by another process"),
            locked(folder, QUICK),
        ):
            pytest.fail("two processes hold one folder")
        first.send_signal(signal.SIGKILL)
        first.wait()
        capsys.readouterr()
        started = time.monotonic()
        with locked(folder.uri, QUICK):
            assert time.monotonic() - started < 2 * QUICK.stale
        assert f"waiting for the lock of {folder.uri} to grow stale: " in capsys.readouterr().out
    finally:
        first.kill()
        first.communicate()


def test_it_is_renewed_and_given_up(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(folder, QUICK) as held:
        before = folder.read_json(LOCK)
        time.sleep(3 * QUICK.beat)
        assert folder.read_json(LOCK)["renewals"] > before["renewals"]
        held.check()
    assert folder.names() == []
    with pytest.raises(KeyError), locked(folder, QUICK):
        raise KeyError
    with locked(folder, QUICK):
        assert capsys.readouterr().out == ""  # nothing to wait for


def test_of_two_at_once_the_one_that_was_overwritten_is_refused(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        lock.time, "sleep", lambda _: Lease(folder, QUICK)._write()
    )  # between writing and looking
    with pytest.raises(CampaignError, match="is in use by another process"), locked(folder, QUICK):
        pytest.fail("two processes hold one folder")
    assert folder.exists(LOCK)  # it is the other one's


def test_who_loses_it_is_stopped_in_the_middle(folder: Folder) -> None:
    other = Lease(folder, QUICK)

    def campaign() -> None:
        with locked(folder, QUICK):
            other._write()
            time.sleep(20)

    started = time.monotonic()
    with pytest.raises(CampaignError, match="another process has taken the lock of s3://"):
        campaign()
    assert time.monotonic() - started < 10
    assert other._is_mine()


def test_in_another_thread_it_is_noticed_by_a_check(folder: Folder) -> None:
    seen: list[str] = []

    def campaign() -> None:
        try:
            with locked(folder, QUICK) as held:
                Lease(folder, QUICK)._write()
                while True:
                    time.sleep(0.05)
                    held.check()
        except CampaignError as error:
            seen.append(str(error))

    thread = threading.Thread(target=campaign)
    thread.start()
    thread.join(20)
    assert "another process has taken the lock" in seen[0]


def test_who_cannot_renew_it_stops_before_others_may_take_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise CampaignError("the store cannot be reached")

    def campaign() -> None:
        with locked(folder, QUICK):
            monkeypatch.setattr(Folder, "write_bytes", away)
            time.sleep(20)

    started = time.monotonic()
    with pytest.raises(CampaignError, match="could not be renewed"):
        campaign()
    assert time.monotonic() - started < QUICK.stale + 3


def test_whatever_an_interruption_becomes_the_reason_is_told(folder: Folder) -> None:
    def campaign() -> None:
        with locked(folder, QUICK):
            Lease(folder, QUICK)._write()
            try:
                time.sleep(20)
            except CampaignError as error:
                raise ValueError("a stage failed") from error

    with pytest.raises(CampaignError, match="another process has taken the lock"):
        campaign()
