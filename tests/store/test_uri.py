"""Folders on an S3 server: as local ones are, and failures that say what to do."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs
from stores import Store

from atal_ray.campaign.run import run_campaign
from atal_ray.cli import main
from atal_ray.config import Config, DataConfig
from atal_ray.errors import CampaignError, ConfigError, StoreError
from atal_ray.store import s3 as s3_clients
from atal_ray.store import uri as stores
from atal_ray.store.folder import ROWS_PER_GROUP, Folder

TABLE = pa.table({"image_id": ["a", "b"], "number": [1, 2]})


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that was never made."""
    if request.param == "local":
        return Folder(str(tmp_path / "runs" / "first"))
    return request.getfixturevalue("s3").folder()


def test_names_and_existence(folder: Folder) -> None:
    inner = folder / "inner"
    assert folder.names() == inner.names() == []
    assert not folder.exists("inner")
    folder.delete()  # nothing to delete
    inner.write_json("a.json", [1])
    folder.write_bytes("empty", b"")
    assert folder.names() == ["empty", "inner"]
    assert folder.exists("inner")
    assert not folder.exists("inn")
    assert inner.read_json("a.json") == [1]
    assert folder.read_bytes("empty") == b""
    inner.delete()
    inner.delete()
    assert folder.names() == ["empty"]
    assert not folder.exists("inner")
    assert inner.names() == []
    folder.remove("empty")
    folder.remove("empty")
    assert folder.names() == []


def test_a_folder_goes_with_what_is_deep_in_it_and_comes_back(folder: Folder) -> None:
    (folder / "train" / "snapshot-01").write_bytes("w", b"1")
    (folder / "train" / "snapshot-01").remove("w")  # S3 keeps a mark of the folder
    (folder / "train").delete()
    assert not folder.exists("train")
    (folder / "train").write_bytes("w", b"2")
    assert (folder / "train").names() == ["w"]


def test_tables_rows_and_overwriting(folder: Folder) -> None:
    rows = pa.table(
        {"image_id": [f"{n:06d}" for n in range(ROWS_PER_GROUP + 5)], "n": list(range(ROWS_PER_GROUP + 5))}
    )
    folder.write_table("t.parquet", TABLE)
    folder.write_table("t.parquet", rows)
    assert folder.count_rows("t.parquet") == rows.num_rows
    assert folder.read_rows("t.parquet", ROWS_PER_GROUP - 1, ROWS_PER_GROUP + 2) == rows.slice(
        ROWS_PER_GROUP - 1, 3
    )
    assert folder.read_between("t.parquet", "image_id", "000007", "000008")["n"].to_pylist() == [7, 8]
    with pytest.raises(CampaignError, match=r"none\.parquet.* cannot be read as a Parquet table"):
        folder.read_table("none.parquet")
    with pytest.raises(CampaignError, match=r"none.* cannot be read"):
        folder.read_bytes("none")


def test_a_block_that_fails_leaves_what_was_there(folder: Folder) -> None:
    def tables() -> Iterator[pa.Table]:
        yield TABLE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write_tables("new.parquet", tables(), TABLE.schema)
    folder.write_table("old.parquet", TABLE)
    with pytest.raises(KeyboardInterrupt):
        folder.write_tables("old.parquet", tables(), TABLE.schema)
    assert not folder.exists("new.parquet")
    assert folder.read_table("old.parquet") == TABLE


def test_a_large_file_comes_back(s3: Store) -> None:
    folder, data = s3.folder(), bytes(range(256)) * 11 * 2**12  # 11 MiB: more than one part
    folder.write_bytes("large", data)
    assert folder.read_bytes("large") == data


UPLOAD = """
import sys, time
from pyarrow import fs
from atal_ray.store.folder import Folder

class Slow:
    def open_output_stream(self, path):
        self.stream = system.open_output_stream(path)
        return self
    def __enter__(self):
        return self
    def __exit__(self, *_):
        raise AssertionError
    def write(self, data):
        self.stream.write(bytes(data)[: 12 * 2**20])  # a whole part is on its way
        print("half", flush=True)
        time.sleep(60)

folder = Folder(sys.argv[1])
system, path = folder.open()
Folder.open = lambda self: (Slow(), path)
Slow.create_dir = lambda *_, **__: None
folder.write_bytes("large", bytes(20 * 2**20))
"""


def test_a_process_that_dies_in_an_upload_leaves_nothing(s3: Store) -> None:
    folder = s3.folder()
    process = subprocess.Popen([sys.executable, "-c", UPLOAD, folder.uri], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert folder.names() == []
    assert not folder.exists("large")


def test_one_client_serves_a_process(s3: Store) -> None:
    folder = s3.folder()
    assert folder.open()[0] is (folder / "deeper").open()[0]


def test_uris_keep_their_query_at_the_end() -> None:
    assert stores.join("s3://b/runs/?scheme=http", "a b?.png") == "s3://b/runs/a%20b%3F.png?scheme=http"
    assert stores.split("s3://b/runs/a%20b%3F.png?scheme=http") == ("s3://b/runs?scheme=http", "a b?.png")
    assert (stores.join("runs/", "x"), stores.split("/runs/x")) == ("runs/x", ("/runs", "x"))
    assert (Folder("s3://b/x?scheme=http") / "y" / "z").uri == "s3://b/x/y/z?scheme=http"
    assert Folder("s3://b/x?scheme=http&endpoint_override=h:1").open()[1] == "b/x"


def test_a_name_that_a_uri_must_quote_is_one_file(s3: Store) -> None:
    folder = s3.folder() / "50% of?#é"
    folder.write_bytes("a?b.png", b"1")
    assert stores.read_uri(folder.where("a?b.png")) == b"1"
    assert Folder(stores.split(folder.uri)[0]).names() == ["50% of?#é"]


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("s3://key:secret@bucket/x", "holds credentials, which the campaign's files would repeat"),
        ("abfs://key:secret@account/x", "abfs://...@account holds credentials"),
        ("s3:///x", "names no bucket"),
        ("s3://bucket/x?endpiont=h", "'endpiont' is no option of a store"),
        ("s4://bucket/x", "s4://bucket cannot be opened"),
    ],
)
def test_uris_that_cannot_be_understood(uri: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Folder(uri).names()
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)


def test_credentials_are_refused_before_anything_repeats_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds credentials"):
        run_campaign(Config(data=DataConfig(train="s3://key:secret@bucket/x")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_path_that_was_a_uri_is_refused() -> None:
    with pytest.raises(CampaignError, match="s3:/bucket/x is no local path"):
        Folder.at(Path("s3://bucket/x"))


def test_a_bucket_is_made_only_when_the_uri_says_so(s3: Store) -> None:
    folder = Folder(s3.uri("never-made/x"))
    assert folder.names() == []
    with pytest.raises(
        CampaignError, match=r"never-made/x/a\?.* cannot be written: there is no such bucket; make it"
    ):
        folder.write_bytes("a", b"1")
    made = Folder(f"{folder.uri}&allow_bucket_creation=true")
    made.make()
    made.write_bytes("a", b"1")
    assert folder.read_bytes("a") == b"1"


def test_a_server_that_is_not_there_is_named_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    away = Folder("s3://bucket/x?endpoint_override=127.0.0.1:9&scheme=http")
    with pytest.raises(
        StoreError,
        match=r"s3://bucket/x\?.* cannot be listed: the store cannot be reached; check endpoint_override",
    ):
        away.names()
    assert time.monotonic() - started < 30
    monkeypatch.setattr(s3_clients, "ATTEMPTS", 1)
    with pytest.raises(StoreError, match=r"s3://other/x/a\?.* cannot be read: the store cannot be reached"):
        Folder(away.uri.replace("bucket", "other")).read_bytes("a")


def test_denied_access_is_named(s3: Store) -> None:
    folder = s3.folder()
    s3.allow_without_credentials(0)
    try:
        with pytest.raises(StoreError, match="access is denied; set AWS_ACCESS_KEY_ID"):
            folder.names()
        with pytest.raises(CampaignError, match="cannot be written: access is denied; set AWS_ACCESS_KEY_ID"):
            folder.write_bytes("a", b"1")
    finally:
        s3.allow_without_credentials(float("inf"))


def test_a_command_names_the_uri(
    s3: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = s3.folder().uri
    monkeypatch.setattr("sys.argv", ["atal", "resume", uri])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == f"atal: {uri} is no campaign: it holds no config.yaml\n"


def test_files_appear_by_one_upload(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = s3.folder()
    system, path = folder.open()
    calls = []

    class Watched:
        def open_output_stream(self, name: str) -> pa.NativeFile:
            calls.append(name)
            return system.open_output_stream(name)

        def create_dir(self, *_: object, **__: object) -> None:
            pass

    monkeypatch.setattr(Folder, "open", lambda self: (Watched(), path))
    folder.write_bytes("a", b"123")
    assert calls == [f"{path}/a"]
    assert [(info.path, info.size) for info in system.get_file_info(fs.FileSelector(path))] == [
        (f"{path}/a", 3)
    ]
