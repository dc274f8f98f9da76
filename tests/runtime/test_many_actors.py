"""Calls on actors go on with as many as have room, and are made again where an actor is lost."""

import os
from functools import partial
from pathlib import Path

import pytest

from atal_ray.errors import CampaignError, DataError
from atal_ray.runtime import room
from atal_ray.runtime.capacity import Node, Place
from atal_ray.runtime.many_actors import call_on_actors

pytestmark = pytest.mark.slow


def touch(path: Path) -> None:
    path.touch()


def die_once(path: Path) -> None:
    if not path.exists():
        path.touch()
        os._exit(1)
    path.with_suffix(".again").touch()


def refuse() -> None:
    raise DataError("image 7 is torn")


def made(calls, at_once: int, place: Place) -> int:
    return sum(1 for _ in call_on_actors(calls, at_once, place=place, backend="ray", title="test"))


def test_two_actors_are_wanted_and_one_has_room(ray_local, tmp_path):
    calls = [partial(touch, tmp_path / str(number)) for number in range(5)]
    assert made(calls, 2, Place(3)) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == list("01234")


def test_a_call_whose_actor_is_lost_is_made_again(ray_local, tmp_path, caplog):
    assert made([partial(die_once, tmp_path / "a"), partial(touch, tmp_path / "b")], 2, Place(1)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.again", "b"}
    assert "it is tried again" in caplog.text


def test_what_a_call_raises_keeps_its_type(ray_local):
    with pytest.raises(DataError, match="image 7 is torn"):
        made([refuse], 1, Place(1))


def test_a_place_that_no_machine_has_is_a_sentence(ray_local, monkeypatch):
    monkeypatch.setattr(room, "START_MINUTES", 0)
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr("atal_ray.runtime.many_actors.LOOK_SECONDS", 0.2)
    monkeypatch.setattr(room, "nodes", lambda: [Node({"CPU": 4.0}, {})])
    with pytest.raises(CampaignError, match="the cluster had no machine with 64 CPUs, 0 GPUs: bring"):
        made([refuse], 1, Place(64))
