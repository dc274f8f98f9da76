"""One file that several processes may replace, none of them unnoticed by the others."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, PreconditionError
from obstore.store import S3Store

from atal_ray.errors import CampaignError, StoreError
from atal_ray.store.folder import UNFINISHED, Folder
from atal_ray.store.reasons import reason
from atal_ray.store.uri import open_uri, s3_bucket

_REQUEST_SECONDS = 5.0  # twice of it is the time between two renewals


class LeaseChangedError(Exception):
    """Another process has replaced the file since it was read."""


@dataclass(frozen=True)
class Version:
    """The file as it was at one time; each writer writes something that nobody wrote before."""

    content: bytes
    tag: str = ""
    """What S3 calls this content: its ETag."""


class LeaseFile(Protocol):
    """A file that is replaced only by who knows what it holds."""

    def read(self) -> Version | None:
        """What it holds now; None where it is not there."""

    def replace(self, old: Version | None, content: bytes) -> Version:
        """Write it, if it is still `old` (None: not there).

        Raises:
            LeaseChangedError: it is not, or another process has written it at the same time.
            CampaignError: the store cannot be written.
        """


class ConditionalFile:
    """A file on S3, written with If-None-Match or If-Match: of several writers at once, one succeeds."""

    def __init__(self, folder: Folder, name: str, client: S3Store) -> None:
        self.folder, self.name, self.client = folder, name, client
        self.key = open_uri(folder.where(name))[1].partition("/")[2]

    def works(self) -> bool:
        """Whether the server keeps to conditions: some of those that speak S3 ignore or refuse them."""
        probe = f"{UNFINISHED}{uuid4().hex}-{self.name}"
        key = self.key.removesuffix(self.name) + probe
        try:
            with self._named("written"):
                obstore.put(self.client, key, b"", mode="create")
        except NotSupportedError:
            return False
        try:
            with self._named("written"):
                obstore.put(self.client, key, b"", mode="create")
        except AlreadyExistsError:
            return True
        finally:
            self.folder.remove(probe)
        return False

    def read(self) -> Version | None:
        """What it holds now; None where it is not there."""
        try:
            with self._named("read"):
                found = obstore.get(self.client, self.key)
                return Version(bytes(found.bytes()), found.meta["e_tag"] or "")
        except FileNotFoundError:
            return None

    def replace(self, old: Version | None, content: bytes) -> Version:
        """Write it, if it is still `old`; LeaseChangedError where it is not."""
        try:
            with self._named("written"):
                written = obstore.put(
                    self.client, self.key, content, mode="create" if old is None else {"e_tag": old.tag}
                )
            return Version(content, written["e_tag"] or "")
        except (AlreadyExistsError, PreconditionError) as error:
            raise LeaseChangedError from error

    @contextmanager
    def _named(self, verb: str) -> Iterator[None]:
        """Name the file where its store fails; a condition that does not hold is no failure."""
        try:
            yield
        except (AlreadyExistsError, PreconditionError, NotSupportedError):
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise
            raise StoreError(f"{self.folder.where(self.name)} cannot be {verb}: {reason(error)}") from error
        except (BaseError, OSError) as error:
            raise StoreError(f"{self.folder.where(self.name)} cannot be {verb}: {reason(error)}") from error


class CheckedFile:
    """A file on any other store, whose client cannot write on a condition.

    A writer reads before it writes, and where others may be writing too, again `settle` seconds later: of two
    at once the last one succeeds. If one of them takes longer than `settle` from reading to writing, both
    believe to have succeeded until the first one's next replacement, which fails.
    """

    def __init__(self, folder: Folder, name: str, settle: float) -> None:
        self.folder, self.name, self.settle = folder, name, settle
        self.mine: Version | None = None

    def read(self) -> Version | None:
        """What it holds now; None where it is not there."""
        if not self.folder.exists(self.name):
            return None
        try:
            return Version(self.folder.read_bytes(self.name))
        except CampaignError:
            if self.folder.exists(self.name):
                raise
            return None  # removed between the two looks

    def replace(self, old: Version | None, content: bytes) -> Version:
        """Write it, if it is still `old`; LeaseChangedError where it is not, or is another's afterwards."""
        if self.read() != old:
            raise LeaseChangedError
        self.folder.write_bytes(self.name, content)
        if old is None or old != self.mine:
            time.sleep(self.settle)
            if self.read() != Version(content):
                raise LeaseChangedError
        self.mine = Version(content)
        return self.mine


def open_lease_file(folder: Folder, name: str, settle: float) -> LeaseFile:
    """The file of this name in a folder of a store, by the safest way of writing that the store knows."""
    bucket = s3_bucket(folder.uri)
    if bucket is not None:
        file = ConditionalFile(folder, name, bucket.client(_REQUEST_SECONDS))
        if file.works():
            return file
    return CheckedFile(folder, name, settle)
