"""Where a folder or a file is: a local path or a URI,
s3://bucket/runs?endpoint_override=host:9000&scheme=http, opened by pyarrow.fs.
"""

import os
import re
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from pyarrow import fs

from atal_ray.errors import ConfigError, StoreError

TEXTS = ("region", "scheme", "endpoint_override", "tls_ca_file_path")
FLAGS = ("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open")
CONNECT_SECONDS, REQUEST_SECONDS, ATTEMPTS = (
    5,
    30,
    4,
)  # a wrong endpoint is a sentence after seconds, a hiccup is not noticed

_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, on every machine, for a user who may read, write and list here"
_HINTS = (
    (
        r"NO_SUCH_BUCKET|NoSuchBucket|allow_bucket_creation option|Bucket .* not found",
        "there is no such bucket; make it, correct its name, or add allow_bucket_creation=true to the query of the URI",
    ),
    (
        r"NETWORK_CONNECTION|curlCode: |REQUEST_TIMEOUT|timed? ?out",
        "the store cannot be reached; check endpoint_override and scheme in the query of the URI, and the network",
    ),
    (
        r"ACCESS_DENIED|AccessDenied|INVALID_ACCESS_KEY|InvalidAccessKey|SIGNATURE|Signature|HTTP status 40[13]",
        f"access is denied; {_KEYS}",
    ),
    (
        r"[Cc]redentials|INVALID_CLIENT_TOKEN|TOKEN|ExpiredToken",
        f"the credentials are missing or not valid; {_KEYS}",
    ),
)


def is_uri(where: str) -> bool:
    """Whether this is a URI and no local path; no absolute path that was made by pathlib holds two slashes in
    a row.
    """
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
            f"{parts.scheme}://...@{parts.hostname} holds credentials, which the campaign's files would repeat: {_KEYS}"
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


def makes_bucket(uri: str) -> bool:
    """Whether the query of a URI says that its bucket may be made."""
    return _is_true(dict(parse_qsl(urlsplit(uri).query)).get("allow_bucket_creation", "false"))


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


def reason(error: BaseException) -> str:
    """What went wrong and what to do about it, out of a message of a store's library; a file system's own
    words as they are.
    """
    text = str(error)
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), text)


@lru_cache
def _system(scheme: str, place: str, query: str, process: int) -> tuple[fs.FileSystem, str]:
    """The file system and the path of its root; a forked process must not use the connections of the one it
    comes from.
    """
    del process
    uri = urlunsplit((scheme, place, "/", query, ""))
    if scheme == "s3":
        return _s3(uri, place, dict(parse_qsl(query, keep_blank_values=True))), place
    try:
        system, root = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{scheme}://{place} cannot be opened: {error}") from error
    return system, root


def _s3(uri: str, bucket: str, query: dict[str, str]) -> fs.S3FileSystem:
    """What pyarrow's from_uri makes, with limits on how long a request may take, which a URI cannot say."""
    if not bucket:
        raise ConfigError(f"{uri} names no bucket: write s3://bucket/folder")
    unknown = sorted(query.keys() - {*TEXTS, *FLAGS})
    if unknown:
        raise ConfigError(
            f"s3://{bucket}: {unknown[0]!r} is no option of a store: the query of the URI takes {', '.join((*TEXTS, *FLAGS))}"
        )
    texts = {name: query[name] for name in TEXTS if name in query}
    flags = {name: _is_true(query[name]) for name in FLAGS if name in query}
    if "region" not in texts and "endpoint_override" not in texts:
        texts["region"] = (
            os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _region(bucket)
        )
    return fs.S3FileSystem(
        **{
            "allow_delayed_open": True,
            **flags,
        },  # a small file is one request; of a large one nothing is seen before its last part
        **texts,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def _region(bucket: str) -> str:
    try:
        return str(fs.resolve_s3_region(bucket))
    except OSError as error:
        raise StoreError(f"s3://{bucket} cannot be opened: {reason(error)}") from error


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1")
