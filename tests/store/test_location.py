"""One type for a local path and a URI."""

import pickle
from pathlib import Path

import pytest
from pyarrow import fs
from stores import Store

from atal_ray.errors import CampaignError, ConfigError, DataError, StoreError
from atal_ray.store.folder import Folder
from atal_ray.store.location import Location

URI = "s3://b/set/a%20b.c.JPG?scheme=http&endpoint_override=h:1"


@pytest.mark.parametrize("uri", [URI, "/b/set/a b.c.JPG"])
def test_it_has_the_parts_of_a_path(uri: str) -> None:
    location = Location(uri)
    assert (location.name, location.stem, location.suffix) == ("a b.c.JPG", "a b.c", ".JPG")
    assert location.parent / "a b.c.JPG" == location
    assert str(location) == location.uri == uri
    assert location.relative_to(location.parent) == "a b.c.JPG"
    assert location.relative_to(location.parent.parent) == "set/a b.c.JPG"
    assert Folder.at(location.parent).where("a b.c.JPG") == uri
    assert pickle.loads(pickle.dumps(location)) == location
    for elsewhere in (location, Location("/other"), location.parent / "a"):
        with pytest.raises(ValueError, match="is not below"):
            location.relative_to(elsewhere)


def test_the_ends_of_paths() -> None:
    assert str(Location(URI).parent) == "s3://b/set?scheme=http&endpoint_override=h:1"
    assert Location("s3://b/").name == Location("s3://b?scheme=http").name == "b"
    assert Location("s3://b/a").relative_to(Location("s3://b/")) == "a"
    assert Location("/a").parent == Location("/")
    assert Location("/a").relative_to(Location("/")) == "a"


@pytest.mark.parametrize("path", ["set/x", "./set/../x", "~/x", "/a//b/", "/a/./b", "/a/.x", "a?b", "/ä"])
def test_a_local_path_becomes_absolute_as_pathlib_makes_it(path: str) -> None:
    assert Location(path).uri == str(Path(path).expanduser().absolute())
    assert Location.at(Path(path)) == Location.at(Location(path)) == Location(path)
    assert Location(path).local_path == Path(path).expanduser().absolute()


def test_a_folder_stays_a_folder() -> None:
    folder = Folder("/a/b")
    assert isinstance(folder / "c", Folder)
    assert isinstance(folder.resolved(), Folder)
    assert Folder.at(Location("/a/b")) == folder
    assert Location.at(folder) is folder


def test_what_is_no_location() -> None:
    with pytest.raises(CampaignError, match="s3:/bucket/x is no local path: give one, or"):
        Location.at(Path("s3://bucket/x"))
    with pytest.raises(ConfigError, match="holds credentials"):
        Location("s3://key:secret@bucket/x")
    with pytest.raises(ValueError, match="s3://b/x is no local path"):
        _ = Location("s3://b/x").local_path
    assert Location.at("/data/a:/b").uri == "/data/a:/b"


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder with the file a.txt and the folder inner."""
    folder = Folder(str(tmp_path)) if request.param == "local" else request.getfixturevalue("s3").folder()
    folder.write_bytes("a.txt", b"1")
    (folder / "inner").write_bytes("b.txt", b"2")
    return folder


def test_what_lies_there(folder: Folder) -> None:
    location = Location.at(folder.uri)
    assert location.kind() == (location / "inner").kind() == fs.FileType.Directory
    assert (location / "a.txt").kind() == fs.FileType.File
    assert (location / "none").kind() == fs.FileType.NotFound
    assert sorted(location.entries()) == [("a.txt", False), ("inner", True)]
    assert (location / "inner" / "b.txt").read() == b"2"
    with pytest.raises(FileNotFoundError):
        (location / "none").read()
    with pytest.raises((DataError, StoreError), match=r"none.* cannot be listed: "):
        list((location / "none").entries())


def test_links_are_followed(tmp_path: Path, s3: Store) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "realistic").mkdir()
    (tmp_path / "door").symlink_to(tmp_path / "real")
    door, real = Location.at(tmp_path / "door"), Location.at(tmp_path / "real").resolved()
    assert (door.is_link, real.is_link, door.name, door.resolved()) == (True, False, "door", real)
    assert (door / "x").is_below(real)
    assert door.is_below(real)
    assert not Location.at(tmp_path / "realistic").is_below(real)
    remote = Location(s3.uri("bucket/x"))
    assert (remote.is_link, remote.resolved(), remote.is_below(remote.parent)) == (False, remote, True)
