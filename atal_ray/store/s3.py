"""Clients of one S3 bucket, made from the query of its URI: pyarrow's for files, obstore's for the lease."""

import os
from configparser import ConfigParser
from configparser import Error as ParseError
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from obstore.exceptions import BaseError
from obstore.store import S3Store
from pyarrow import fs

from atal_ray.errors import ConfigError, StoreError
from atal_ray.store.reasons import reason

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

TEXTS = ("region", "scheme", "endpoint_override", "tls_ca_file_path")
FLAGS = ("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open")
CONNECT_SECONDS = 5  # a wrong endpoint is reported after seconds
REQUEST_SECONDS = 30
ATTEMPTS = 4  # a short failure of the network goes unnoticed


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what the query of its URI says of the server.

    Raises:
        ConfigError: there is no name, or the query holds something else than `TEXTS` and `FLAGS`.
    """

    name: str
    query: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("s3:///... names no bucket: write s3://bucket/folder")
        unknown = sorted(self._options.keys() - {*TEXTS, *FLAGS})
        if unknown:
            raise ConfigError(
                f"s3://{self.name}: {unknown[0]!r} is no option of a store: the query of the URI takes "
                f"{', '.join((*TEXTS, *FLAGS))}"
            )

    @cached_property
    def _options(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def may_be_made(self) -> bool:
        """Whether the query says so: allow_bucket_creation=true."""
        return _is_true(self._options.get("allow_bucket_creation", "false"))

    @cached_property
    def _region(self) -> str | None:
        """The region of the query, of the environment or of Amazon's bucket; None for the server's own."""
        options = self._options
        if "region" in options or "endpoint_override" in options:
            return options.get("region")
        found = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        try:
            return found or str(fs.resolve_s3_region(self.name))
        except OSError as error:
            raise StoreError(f"s3://{self.name} cannot be opened: {reason(error)}") from error

    def file_system(self) -> fs.S3FileSystem:
        """What pyarrow's from_uri makes, with limits on how long a request may take, which a URI cannot say.

        Raises:
            StoreError: the region of the bucket cannot be found out.
        """
        options = {"allow_delayed_open": True}  # a small file is one request instead of three
        options |= {name: _is_true(self._options[name]) for name in FLAGS if name in self._options}
        texts = {name: self._options[name] for name in TEXTS if name in self._options}
        if self._region is not None:
            texts["region"] = self._region
        return fs.S3FileSystem(
            **options,
            **texts,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=REQUEST_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        )

    def client(self, seconds: float) -> S3Store:
        """A client that can write on a condition, which pyarrow's cannot.

        Args:
            seconds: a request is answered or fails within this time, and within twice of it if tried again.

        Raises:
            ConfigError: the file of tls_ca_file_path cannot be read.
            StoreError: the region of the bucket cannot be found out, or the keys are incomplete.
        """
        scheme, endpoint = self._options.get("scheme", "https"), self._options.get("endpoint_override")
        http: ClientConfig = {
            "allow_http": scheme == "http",
            "connect_timeout": timedelta(seconds=seconds),
            "timeout": timedelta(seconds=seconds),
        }
        if "tls_ca_file_path" in self._options:
            http["root_certificate"] = _certificate(Path(self._options["tls_ca_file_path"]))
        config = _profile_keys()
        if endpoint:
            config["endpoint"] = f"{scheme}://{endpoint}"
        if self._region is not None:
            config["region"] = self._region
        retry: RetryConfig = {"max_retries": ATTEMPTS - 1, "retry_timeout": timedelta(seconds=seconds)}
        try:
            return S3Store(self.name, config=config, client_options=http, retry_config=retry)
        except BaseError as error:  # half of the keys
            raise StoreError(f"s3://{self.name} cannot be opened: {reason(error)}") from error


def _profile_keys() -> "S3Config":
    """The keys in the credentials file of Amazon's tools, which pyarrow reads and obstore does not.

    Both read the environment first, and the role of the machine last.
    """
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(file)
        section = dict(parser[os.environ.get("AWS_PROFILE", "default")])
    except (KeyError, ParseError, UnicodeDecodeError, OSError):
        return {}
    keys: S3Config = {}
    if "aws_access_key_id" in section and "aws_secret_access_key" in section:
        keys["access_key_id"] = section["aws_access_key_id"]
        keys["secret_access_key"] = section["aws_secret_access_key"]
    if "aws_session_token" in section:
        keys["session_token"] = section["aws_session_token"]
    return keys


def _certificate(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"tls_ca_file_path: {path} cannot be read: {error.strerror}") from error


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1")
