"""The lease on an object store: one process at a time, and none locked out for ever."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stores import Store

from atal_ray.errors import CampaignError
from atal_ray.store.folder import Folder
from atal_ray.store.lease import LOCK, Lease, Times
from atal_ray.store.lease_file import LeaseChangedError, Version
from atal_ray.store.lock import locked

QUICK = Times(beat=0.2, stale=3, settle=0.1)
TURNS = 20
HOLDER = """
import sys
from atal_ray.errors import CampaignError
from atal_ray.store.lease import Times
from atal_ray.store.lock import locked

while uri := sys.stdin.readline().strip():
    try:
        with locked(uri, Times(beat=0.2, stale=3, settle=0.1)):
            print("held", flush=True)
            sys.stdin.readline()
        print("free", flush=True)
    except CampaignError as error:
        print("refused" if "is in use by another process" in str(error) else error, flush=True)
"""


class Holder:
    """A process that takes the lock of each folder that it is told, and holds it until the next line."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=pipe, stdout=pipe, text=True)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def folder(s3: Store) -> Folder:
    return s3.folder()


@pytest.fixture
def holders() -> Iterator[Callable[[], Holder]]:
    """Starts processes that end with the test."""
    started: list[Holder] = []

    def start() -> Holder:
        started.append(Holder())
        return started[-1]

    yield start
    for holder in started:
        holder.process.kill()
        holder.process.communicate()


def take_over(folder: Folder) -> None:
    """Write the lease of another process over the one that is there."""
    folder.write_bytes(LOCK, b'{"owner": "another"}')


def test_one_process_at_a_time_and_a_killed_one_for_seconds(
    folder: Folder, holders: Callable[[], Holder], caplog: pytest.LogCaptureFixture
) -> None:
    first = holders()
    first.tell(folder.uri)
    assert first.answer() == "held"
    with (
        pytest.raises(CampaignError, match=r"runs/first\?.* is in use by another process"),
        locked(folder, QUICK),
    ):
        pytest.fail("two processes hold one folder")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    caplog.clear()
    started = time.monotonic()
    with locked(folder.uri, QUICK):
        assert time.monotonic() - started < 2 * QUICK.stale
    assert f"waiting for the lock of {folder.uri} to grow stale: " in caplog.text


@pytest.mark.parametrize("place", ["new folders", pytest.param("one folder", marks=pytest.mark.slow)])
def test_of_two_processes_at_once_one_is_refused_every_time(
    s3: Store, holders: Callable[[], Holder], place: str
) -> None:
    """In a new folder the lease is created; in one that was held before, it is replaced."""
    pair, folder = (holders(), holders()), s3.folder()
    for turn in range(TURNS):
        uri = (folder / str(turn)).uri if place == "new folders" else folder.uri
        for holder in pair:
            holder.tell(uri)
        answers = [holder.answer() for holder in pair]
        assert sorted(answers) == ["held", "refused"], turn
        winner = pair[answers.index("held")]
        winner.tell("")
        assert winner.answer() == "free"


def test_of_two_who_find_it_stale_one_takes_it(folder: Folder) -> None:
    take_over(folder)
    first, second = Lease(folder, QUICK), Lease(folder, QUICK)
    stale = first.file.read()
    first._write(stale)
    with pytest.raises(LeaseChangedError):
        second._write(stale)
    first._write(first.version)


def test_it_is_renewed_and_given_up(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    with locked(folder, QUICK) as held:
        before = folder.read_json(LOCK)
        time.sleep(3 * QUICK.beat)
        assert folder.read_json(LOCK)["renewals"] > before["renewals"]
        held.check()
    assert folder.names() == [LOCK]
    assert folder.read_json(LOCK)["free"]
    with pytest.raises(KeyError), locked(folder, QUICK):
        raise KeyError
    with locked(folder, QUICK):
        assert not folder.read_json(LOCK)["free"]
    assert not caplog.records  # nothing to wait for


def test_whoever_loses_it_is_stopped_in_the_middle(folder: Folder) -> None:
    def campaign() -> None:
        with locked(folder, QUICK):
            take_over(folder)
            time.sleep(20)

    started = time.monotonic()
    with pytest.raises(CampaignError, match="another process has taken the lock of s3://"):
        campaign()
    assert time.monotonic() - started < 10
    assert folder.read_json(LOCK) == {"owner": "another"}  # and is not given up by the one that lost it


def test_in_another_thread_it_is_noticed_by_a_check(folder: Folder) -> None:
    seen: list[str] = []

    def campaign() -> None:
        try:
            with locked(folder, QUICK) as held:
                take_over(folder)
                while True:
                    time.sleep(0.05)
                    held.check()
        except CampaignError as error:
            seen.append(str(error))

    thread = threading.Thread(target=campaign)
    thread.start()
    thread.join(20)
    assert "another process has taken the lock" in seen[0]


def test_an_owner_that_cannot_renew_it_stops_before_others_may_take_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Version:
        raise CampaignError("the store cannot be reached")

    times, ages = Times(beat=1, stale=4), list[float]()

    def campaign() -> None:
        with locked(folder, times) as held:
            assert isinstance(held, Lease)
            monkeypatch.setattr(held.file, "replace", away)
            try:
                time.sleep(20)
            finally:
                ages.append(time.monotonic() - held.renewed_at)

    with pytest.raises(CampaignError, match="could not be renewed: run the same command again"):
        campaign()
    assert times.stale - 2 * times.beat < ages[0] < times.stale


class Slow:
    """A lease file whose next replacements are answered late."""

    def __init__(self, file: Any, seconds: float) -> None:
        self.file, self.seconds, self.asked = file, seconds, threading.Event()

    def read(self) -> Version | None:
        return self.file.read()

    def replace(self, old: Version | None, content: bytes) -> Version:
        self.asked.set()
        time.sleep(self.seconds)
        return self.file.replace(old, content)


def test_an_overdue_renewal_is_noticed_by_a_check(folder: Folder) -> None:
    """The renewal has not failed: its answer is still awaited when others may already take the lease."""
    times = Times(beat=0.2, stale=1)
    seen: list[str] = []

    def campaign() -> None:
        with locked(folder, times) as held:
            assert isinstance(held, Lease)
            held.file = slow = Slow(held.file, 2.5)
            assert slow.asked.wait(10)
            held.check()  # the last renewal is recent
            time.sleep(times.stale + 0.1)
            try:
                held.check()
            except CampaignError as error:
                seen.append(str(error))
                raise

    with pytest.raises(CampaignError, match="could not be renewed for 1 s"):
        campaign()
    assert seen


def test_an_overdue_renewal_interrupts(folder: Folder) -> None:
    """It succeeds in the end, but others could have taken the lease since it was sent."""

    def campaign() -> None:
        with locked(folder, Times(beat=0.2, stale=1)) as held:
            assert isinstance(held, Lease)
            held.file = Slow(held.file, 1.5)
            time.sleep(20)

    started = time.monotonic()
    with pytest.raises(CampaignError, match="could not be renewed for 1 s"):
        campaign()
    assert time.monotonic() - started < 10


def test_a_renewal_whose_answer_is_lost_loses_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(folder, QUICK) as held:
        assert isinstance(held, Lease)
        replace, failures = held.file.replace, list[Version]()

        def unanswered(old: Version | None, content: bytes) -> Version:
            version = replace(old, content)
            if not failures:
                failures.append(version)
                raise CampaignError("the connection was closed")
            return version

        monkeypatch.setattr(held.file, "replace", unanswered)
        time.sleep(5 * QUICK.beat)
        held.check()
        assert folder.read_json(LOCK)["renewals"] > json.loads(failures[0].content)["renewals"]


def test_whatever_an_interruption_becomes_the_reason_is_told(folder: Folder) -> None:
    def campaign() -> None:
        with locked(folder, QUICK):
            take_over(folder)
            try:
                time.sleep(20)
            except CampaignError as error:
                raise ValueError("a stage failed") from error

    with pytest.raises(CampaignError, match="another process has taken the lock"):
        campaign()


def test_a_copied_lock_that_is_no_lease_grows_stale(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_bytes(LOCK, b"")  # as the operating system's lock leaves it in a local folder
    with caplog.at_level(logging.WARNING), locked(folder, Times(beat=0.2, stale=1)) as held:
        held.check()
    assert "to grow stale" in caplog.text
