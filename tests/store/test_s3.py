"""The clients of a bucket, as the URI and the environment configure them."""

from pathlib import Path

import pytest

from atal_ray.errors import ConfigError, StoreError
from atal_ray.store.s3 import Bucket


def test_both_clients_ask_the_server_of_the_uri() -> None:
    bucket = Bucket("b", "endpoint_override=h:9000&scheme=http&region=eu-west-3")
    client = bucket.client(2)
    assert (client.config["endpoint"], client.config["region"]) == ("http://h:9000", "eu-west-3")
    assert client.client_options is not None
    assert client.client_options["allow_http"]
    assert bucket.file_system().region == "eu-west-3"
    assert Bucket("b", "endpoint_override=h").client(2).config["endpoint"] == "https://h"


def test_the_region_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    bucket = Bucket("b", "")
    assert bucket.client(2).config["region"] == bucket.file_system().region == "eu-central-1"
    assert "endpoint" not in bucket.client(2).config


def test_keys_of_a_profile_serve_where_the_environment_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id = name\naws_secret_access_key = a%b\naws_session_token = t\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    bucket = Bucket("b", "region=eu-west-3")
    assert bucket.client(2).config.get("access_key_id") != "name"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    config = bucket.client(2).config
    assert (config["access_key_id"], config["secret_access_key"]) == ("name", "a%b")
    assert config["session_token"] == "t"
    file.write_text("no section")
    assert "access_key_id" not in bucket.client(2).config
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert "access_key_id" not in bucket.client(2).config


def test_half_of_the_keys_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(StoreError, match="s3://b cannot be opened: the credentials are missing or not valid"):
        Bucket("b", "region=eu-west-3").client(2)


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls_ca_file_path: .*none\.pem cannot be read: No such file"):
        Bucket("b", f"region=eu-west-3&tls_ca_file_path={tmp_path}/none.pem").client(2)
