"""Local paths and URIs as text, and the file system of a URI, opened by pyarrow.fs:
s3://bucket/runs?endpoint_override=host:9000&scheme=http.
"""

import os
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pyarrow import fs

from atal_ray.errors import ConfigError, StoreError
from atal_ray.store.reasons import KEYS, reason
from atal_ray.store.s3 import Bucket


def is_uri(where: str) -> bool:
    """Whether this is a URI: a path that pathlib made never holds two slashes in a row."""
    return "://" in where


def join(where: str, name: str) -> str:
    """The path or URI of what has this name in a folder; a URI keeps its query at the end."""
    if not is_uri(where):
        return f"{where.rstrip('/')}/{name}"
    base, mark, query = where.partition("?")
    return f"{base.rstrip('/')}/{quote(name)}{mark}{query}"


def split(where: str) -> tuple[str, str]:
    """The path or URI of the folder that something is in, and its name there."""
    base, mark, query = where.partition("?") if is_uri(where) else (where, "", "")
    folder, _, name = base.rstrip("/").rpartition("/")
    return f"{folder}{mark}{query}", unquote(name) if is_uri(where) else name


def check_uri(uri: str) -> None:
    """Raise ConfigError where a URI holds credentials: files of a campaign repeat it."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.password is not None or (parts.scheme == "s3" and parts.username is not None):
        raise ConfigError(
            f"{parts.scheme}://...@{parts.hostname} holds credentials, "
            f"which the campaign's files would repeat: {KEYS}"
        )


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI, made once in each process, and the path in it.

    Raises:
        ConfigError: the URI cannot be understood, or holds credentials.
        StoreError: the region of the bucket cannot be found out.
    """
    check_uri(uri)
    parts = urlsplit(uri, allow_fragments=False)
    system, root = _system(parts.scheme, parts.netloc, parts.query, os.getpid())
    return system, f"{root.rstrip('/')}{unquote(parts.path)}".rstrip("/") or "/"


def s3_bucket(uri: str) -> Bucket | None:
    """The bucket of an S3 URI; None for other URIs and for local paths."""
    parts = urlsplit(uri, allow_fragments=False)
    return Bucket(parts.netloc, parts.query) if parts.scheme == "s3" else None


def read_uri(uri: str) -> bytes:
    """All bytes of one file.

    Raises:
        FileNotFoundError: it is not there.
        StoreError: the store cannot be reached, or denies access.
    """
    system, path = open_uri(uri)
    try:
        with system.open_input_stream(path) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"{uri} cannot be read: {reason(error)}") from error


@lru_cache
def _system(scheme: str, authority: str, query: str, process: int) -> tuple[fs.FileSystem, str]:
    """The file system of everything between the scheme and the path of a URI, and the path of its root.

    A forked process must not use the connections of the process it comes from.
    """
    del process
    if scheme == "s3":
        return Bucket(authority, query).file_system(), authority
    try:
        system, root = fs.FileSystem.from_uri(urlunsplit((scheme, authority, "/", query, "")))
    except (ValueError, OSError) as error:
        raise ConfigError(f"{scheme}://{authority} cannot be opened: {error}") from error
    return system, root
