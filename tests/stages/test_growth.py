"""Waiting for a cluster that grows: what is asked of its autoscaler, how long, and that it is given back."""

import dataclasses
import itertools
from typing import Any

import pytest
import ray

from atal_ray.config import Config, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.errors import CampaignError
from atal_ray.stages import growth
from atal_ray.stages.growth import bundles, grown
from atal_ray.stages.ray_session import require_room, wanted

RESOURCES = ResourceConfig(query_actors=3, wait_minutes=0.01)
CONFIG = Config(train=TrainConfig(workers=2, threads=3), query=QueryConfig(threads=2), resources=RESOURCES)
ALL = {"CPU": 7, "GPU": 3}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the autoscaler was told, in order."""
    told: list[Any] = []
    monkeypatch.setattr(growth, "request_resources", lambda bundles: told.append(bundles))
    monkeypatch.setattr(growth, "LOOK_SECONDS", 0.01)
    return told


def test_pieces_hold_a_worker_or_an_actor_whichever_is_wider():
    assert bundles(CONFIG) == [{"CPU": 3, "GPU": 1}, {"CPU": 3, "GPU": 1}, {"CPU": 2, "GPU": 1}, {"CPU": 1}]
    without = dataclasses.replace(CONFIG, resources=dataclasses.replace(RESOURCES, gpus="none"))
    assert bundles(without) == [{"CPU": 3}, {"CPU": 3}, {"CPU": 2}, {"CPU": 1}]


def test_gpus_are_wanted_before_there_are_any():
    assert wanted(CONFIG, {"CPU": 2.0}) == ALL
    assert wanted(dataclasses.replace(CONFIG, resources=ResourceConfig(query_actors=3)), {"CPU": 2.0}) == {"CPU": 7}


def test_waits_until_it_is_there_and_gives_it_back(asked, monkeypatch, capsys):
    sizes = itertools.chain([{"CPU": 2.0}, {"CPU": 7.0}], itertools.repeat({"CPU": 7.0, "GPU": 3.0}))
    monkeypatch.setattr(ray, "cluster_resources", lambda: next(sizes))
    with grown(CONFIG, ALL):
        assert asked == [bundles(CONFIG)]
        require_room(CONFIG, ray.cluster_resources())
    assert asked == [bundles(CONFIG), []]
    assert capsys.readouterr().err == "waiting for the cluster to grow: 2 of 7 CPUs, 0 of 3 GPUs\n"


def test_what_never_comes_is_refused_and_given_back(asked, monkeypatch):
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 7.0})
    with pytest.raises(CampaignError, match="has 0 GPUs, but this configuration takes 3"), grown(CONFIG, ALL):
        require_room(CONFIG, ray.cluster_resources())
    assert asked == [bundles(CONFIG), []]


def test_without_waiting_nothing_is_asked(asked):
    with grown(dataclasses.replace(CONFIG, resources=ResourceConfig()), ALL):
        pass
    assert asked == []
