"""A file that is replaced only by a writer that knows what it holds."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import NotSupportedError
from stores import Store

from atal_ray.errors import StoreError
from atal_ray.store.folder import Folder
from atal_ray.store.lease_file import (
    CheckedFile,
    ConditionalFile,
    LeaseChangedError,
    Version,
    open_lease_file,
)


@pytest.fixture(params=["s3", "other"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder on S3, or on a store whose client cannot write on a condition."""
    if request.param == "s3":
        return request.getfixturevalue("s3").folder()
    return Folder(f"file://{tmp_path}/first")


def test_it_is_replaced_by_who_knows_what_it_holds(folder: Folder) -> None:
    file, other = open_lease_file(folder, "lock", 0.01), open_lease_file(folder, "lock", 0.01)
    assert file.read() is None
    first = file.replace(None, b"1")
    assert file.read() == other.read() == first
    with pytest.raises(LeaseChangedError):
        other.replace(None, b"2")
    second = other.replace(first, b"2")
    with pytest.raises(LeaseChangedError):
        file.replace(first, b"3")
    assert folder.read_bytes("lock") == second.content == b"2"
    folder.remove("lock")
    with pytest.raises(LeaseChangedError):
        other.replace(second, b"4")
    assert folder.names() == []


def test_of_many_writers_at_once_one_succeeds(s3: Store) -> None:
    folder, barrier, succeeded = s3.folder(), threading.Barrier(4), list[Version]()
    old: Version | None = None

    def write(content: bytes) -> None:
        file = open_lease_file(folder, "lock", 0)
        barrier.wait(20)
        with suppress(LeaseChangedError):
            succeeded.append(file.replace(old, content))

    for turn in range(10):
        threads = [threading.Thread(target=write, args=(b"%d %d" % (turn, n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(succeeded) == turn + 1
        old = succeeded[-1]
        assert folder.read_bytes("lock") == old.content


def test_without_conditions_the_one_that_is_overwritten_meanwhile_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, waits = Folder(f"file://{tmp_path}/first"), list[float]()

    def overwrite(seconds: float) -> None:
        waits.append(seconds)
        folder.write_bytes("lock", b"another's")

    file = CheckedFile(folder, "lock", 0.5)
    monkeypatch.setattr("atal_ray.store.lease_file.time.sleep", overwrite)
    with pytest.raises(LeaseChangedError):
        file.replace(None, b"mine")
    assert (waits, folder.read_bytes("lock")) == ([0.5], b"another's")


def test_without_conditions_only_the_first_write_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = list[float]()
    monkeypatch.setattr("atal_ray.store.lease_file.time.sleep", waits.append)
    file = CheckedFile(Folder(f"file://{tmp_path}/first"), "lock", 0.5)
    version = file.replace(None, b"1")
    version = file.replace(version, b"2")
    assert waits == [0.5]
    CheckedFile(file.folder, "lock", 0.25).replace(version, b"3")
    assert waits == [0.5, 0.25]


@pytest.mark.parametrize("how", ["ignores", "refuses"])
def test_a_server_that_does_not_keep_to_conditions_is_not_trusted(
    s3: Store, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder, put = s3.folder(), obstore.put

    def unconditional(client: Any, key: str, content: bytes, *, mode: Any) -> Any:
        if how == "refuses":
            raise NotSupportedError("501 Not Implemented")
        return put(client, key, content)

    assert isinstance(open_lease_file(folder, "lock", 0), ConditionalFile)
    monkeypatch.setattr("atal_ray.store.lease_file.obstore.put", unconditional)
    assert isinstance(open_lease_file(folder, "lock", 0), CheckedFile)
    assert folder.names() == []


def test_failures_say_what_to_do(s3: Store) -> None:
    with pytest.raises(
        StoreError, match=r"none/x/lock\?.* cannot be written: there is no such bucket; make it"
    ):
        open_lease_file(Folder(s3.uri("none/x")), "lock", 0)
    away = "s3://bucket/x?endpoint_override=127.0.0.1:9&scheme=http"
    with pytest.raises(StoreError, match="cannot be written: the store cannot be reached; check endpoint_"):
        open_lease_file(Folder(away), "lock", 0)
    folder = s3.folder()
    file = open_lease_file(folder, "lock", 0)
    s3.allow_without_credentials(0)
    try:
        with pytest.raises(StoreError, match="cannot be written: access is denied; set AWS_ACCESS_KEY_ID"):
            file.replace(None, b"1")
        with pytest.raises(StoreError, match="cannot be read: access is denied; set AWS_ACCESS_KEY_ID"):
            file.read()
    finally:
        s3.allow_without_credentials(float("inf"))
