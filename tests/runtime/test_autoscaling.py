"""Waiting for a cluster that grows: what is asked of its autoscaler, how long, and that it is given back."""

import dataclasses
import logging
from typing import Any

import pytest

from atal_ray.config import Config, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.errors import CampaignError
from atal_ray.runtime import autoscaling as growth
from atal_ray.runtime.autoscaling import pieces_wanted, waited_for_capacity
from atal_ray.runtime.capacity import Node, require_capacity

FAST, CHEAP = {"role": "accelerator"}, {"role": "cpu"}
RESOURCES = ResourceConfig(
    query_actors=3, wait_minutes=0.01, gpus="require", scoring_nodes=FAST, loading_nodes=CHEAP
)
CONFIG = Config(train=TrainConfig(workers=2, threads=3), query=QueryConfig(threads=2), resources=RESOURCES)
WHOLE = [Node({"CPU": 6.0, "GPU": 3.0}, FAST), Node({"CPU": 1.0}, CHEAP)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the autoscaler was told, in order."""
    told: list[Any] = []
    monkeypatch.setattr(growth, "request_resources", lambda **wanted: told.append(wanted))
    monkeypatch.setattr(growth, "LOOK_SECONDS", 0.01)
    return told


def growing(monkeypatch: pytest.MonkeyPatch, *sizes: list[Node]) -> None:
    """A cluster that has the next of these sizes at each look, and stays at the last one."""
    left = list(sizes)
    monkeypatch.setattr(growth, "nodes", lambda: left.pop(0) if len(left) > 1 else left[0])


def bundles(config: Config) -> list[dict[str, float]]:
    return [bundle for bundle, _ in pieces_wanted(config)]


def test_pieces_hold_a_worker_or_an_actor_whichever_is_wider():
    assert pieces_wanted(CONFIG) == [
        ({"CPU": 3, "GPU": 1}, FAST),
        ({"CPU": 3, "GPU": 1}, FAST),
        ({"CPU": 2, "GPU": 1}, FAST),
        ({"CPU": 1}, CHEAP),
    ]
    without = dataclasses.replace(CONFIG, resources=dataclasses.replace(RESOURCES, gpus="auto"))
    assert bundles(without) == [{"CPU": 3}, {"CPU": 3}, {"CPU": 2}, {"CPU": 1}]


def test_nodes_that_load_and_may_hold_actors_are_asked_for_the_cpus_of_both():
    anywhere = dataclasses.replace(CONFIG, resources=dataclasses.replace(RESOURCES, scoring_nodes={}))
    on_cheap = [bundle for bundle, labels in pieces_wanted(anywhere) if labels == CHEAP]
    assert on_cheap == [{"CPU": 2}] * 3 + [{"CPU": 1}]
    enough = [Node({"CPU": 6.0, "GPU": 3.0}, FAST), Node({"CPU": 7.0}, CHEAP)]
    require_capacity(anywhere, enough)
    with pytest.raises(CampaignError, match="takes 7 at once"):
        require_capacity(anywhere, [enough[0], Node({"CPU": 6.0}, CHEAP)])
    unlabelled = dataclasses.replace(RESOURCES, scoring_nodes={}, loading_nodes={})
    nowhere = dataclasses.replace(CONFIG, resources=unlabelled)
    assert len(pieces_wanted(nowhere)) == 4
    together = dataclasses.replace(RESOURCES, scoring_nodes=CHEAP, loading_nodes=CHEAP)
    assert len(pieces_wanted(dataclasses.replace(CONFIG, resources=together))) == 4, "they lie there already"


def test_waits_until_it_is_there_and_gives_it_back(asked, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    growing(monkeypatch, [], WHOLE[1:], WHOLE)
    with waited_for_capacity(CONFIG):
        assert asked == [{"bundles": bundles(CONFIG), "bundle_label_selectors": [FAST, FAST, FAST, CHEAP]}]
    assert asked[1:] == [{"bundles": []}]
    assert caplog.messages == ["waiting up to 0.01 minutes for the cluster to grow: room for 0 of 1 campaign"]


def test_campaigns_that_run_at_once_ask_together(asked, monkeypatch):
    growing(monkeypatch, WHOLE, WHOLE * 2)
    with waited_for_capacity(CONFIG, 2):
        assert asked == [
            {"bundles": bundles(CONFIG) * 2, "bundle_label_selectors": [FAST, FAST, FAST, CHEAP] * 2}
        ]


def test_what_never_comes_is_refused_and_given_back(asked, monkeypatch):
    growing(monkeypatch, [Node({"CPU": 9.0}, FAST), Node({"CPU": 1.0}, CHEAP)])
    with (
        pytest.raises(
            CampaignError, match="has 0 GPUs on nodes with role accelerator, but this configuration takes 3"
        ),
        waited_for_capacity(CONFIG),
    ):
        pytest.fail("there is no room")
    assert asked[-1] == {"bundles": []}


def test_room_for_one_of_two_is_enough_in_the_end(asked, monkeypatch):
    growing(monkeypatch, WHOLE)
    with waited_for_capacity(CONFIG, 2):
        assert len(asked) == 1


def test_a_campaign_within_waits_without_asking(asked, monkeypatch):
    growing(monkeypatch, [], WHOLE)
    with waited_for_capacity(CONFIG, ask=False):
        assert growth.nodes() == WHOLE
    assert asked == []


def test_without_waiting_nothing_is_asked(asked, monkeypatch):
    growing(monkeypatch, [])
    with (
        pytest.raises(CampaignError, match="has 0 CPUs"),
        waited_for_capacity(dataclasses.replace(CONFIG, resources=ResourceConfig())),
    ):
        pytest.fail("there is no room")
    assert asked == []
