"""A cluster that is too small for one stage is refused before anything waits for ever."""

import dataclasses

import pytest

from atal_ray.config import Config, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.errors import CampaignError, ConfigError
from atal_ray.runtime import capacity as room
from atal_ray.runtime.capacity import (
    Node,
    campaigns_at_once,
    cpus_wanted,
    gpus_per_actor,
    machines_with,
    require_capacity,
    share_out,
)

CONFIG = Config(
    train=TrainConfig(workers=2, threads=3),
    query=QueryConfig(threads=2),
    resources=ResourceConfig(query_actors=4),
)
CHEAP, FAST = {"role": "cpu"}, {"role": "accelerator"}
PLACED = dataclasses.replace(
    CONFIG, resources=ResourceConfig(query_actors=4, scoring_nodes=FAST, loading_nodes=CHEAP)
)


def test_widest_stage_counts_with_one_task_to_feed_it():
    assert cpus_wanted(CONFIG) == 9
    assert cpus_wanted(dataclasses.replace(CONFIG, query=QueryConfig())) == 7


@pytest.mark.parametrize("resources", [{"CPU": 9.0}, {"CPU": 16.0, "GPU": 4.0}])
def test_room_is_enough(resources):
    require_capacity(CONFIG, [Node(resources, {})])
    require_capacity(CONFIG, [Node({kind: count / 2 for kind, count in resources.items()}, {})] * 2)


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"CPU": 8.0}, "has 8 CPUs, but this configuration takes 9"),
        ({"CPU": 9.0, "GPU": 2.0}, "has 2 GPUs, but this configuration takes 4"),
    ],
)
def test_too_small_is_refused(resources, sentence):
    with pytest.raises(CampaignError, match=sentence):
        require_capacity(CONFIG, [Node(resources, {})])


def test_gpus_do_not_matter_where_they_are_not_used():
    without = dataclasses.replace(CONFIG, resources=ResourceConfig(query_actors=4, gpus="none"))
    require_capacity(without, [Node({"CPU": 9.0, "GPU": 1.0}, {})])


def test_gpus_that_are_required_must_be_there():
    strict = dataclasses.replace(CONFIG, resources=ResourceConfig(query_actors=4, gpus="require"))
    with pytest.raises(CampaignError, match="has 0 GPUs, but this configuration takes 4"):
        require_capacity(strict, [Node({"CPU": 9.0}, {})])


def test_nodes_count_by_their_labels():
    require_capacity(PLACED, [Node({"CPU": 8.0, "GPU": 4.0}, FAST), Node({"CPU": 1.0}, CHEAP)])
    for machines, sentence in (
        (
            [Node({"CPU": 9.0}, FAST)],
            "has 0 CPUs on nodes with role cpu.*takes 1 at once: mend resources.loading-nodes",
        ),
        (
            [Node({"CPU": 7.0}, FAST), Node({"CPU": 4.0}, CHEAP)],
            "has 3 places for query actors of 2 CPUs each on nodes with role accelerator.*takes 4",
        ),
        ([Node({"CPU": 8.0}, FAST), Node({"CPU": 4.0}, {})], "has 8 CPUs, but this configuration takes 9"),
    ):
        with pytest.raises(CampaignError, match=sentence):
            require_capacity(PLACED, machines)


def test_gpus_of_other_nodes_are_not_used(monkeypatch):
    monkeypatch.setattr(
        room, "nodes", lambda: [Node({"CPU": 2.0, "GPU": 1.0}, FAST), Node({"CPU": 8.0}, CHEAP)]
    )
    assert [gpus_per_actor("auto", labels) for labels in (None, FAST, CHEAP)] == [1, 1, 0]
    assert [gpus_per_actor(gpus, CHEAP) for gpus in ("none", "require")] == [0, 1]
    assert [machine["CPU"] for machine in machines_with({})] == [2, 8]
    assert [machine["CPU"] for machine in machines_with({}, gpus=1)] == [2]
    assert machines_with(CHEAP, gpus=1) == []


@pytest.mark.parametrize(
    ("cpus", "calls", "memory", "gpus", "expected"),
    [
        (8, 1, 10, 0, (1, 4)),  # one cannot spread over both machines
        (8, 2, 10, 0, (2, 4)),
        (8, 100, 10, 0, (8, 1)),
        (8, 100, 30, 0, (6, 1)),  # as many as have memory
        (8, 100, 60, 0, (2, 4)),
        (8, 100, 999, 0, (1, 4)),
        (3, 2, 10, 0, (2, 1)),
        (8, 100, 10, 1, (1, 4)),  # there is one GPU
    ],
)
def test_cpus_are_shared_by_as_many_actors_as_have_room(cpus, calls, memory, gpus, expected):
    machines = [{"CPU": 4.0, "memory": 100.0, "GPU": 1.0}, {"CPU": 4.0, "memory": 100.0}]
    assert share_out(cpus, calls, memory, gpus, machines) == expected


def test_an_actor_that_has_room_on_one_kind_of_machine_has_the_cpus_of_that() -> None:
    wide, deep = {"CPU": 16.0, "memory": 32.0}, {"CPU": 8.0, "memory": 128.0}
    assert share_out(16, 1, 50, 0, [wide, deep]) == (1, 8)
    assert share_out(16, 1, 50, 1, [wide, {**deep, "GPU": 1.0}]) == (1, 8)
    assert share_out(16, 1, 999, 0, [wide, deep]) == (1, 16), "nobody has the memory, which is said elsewhere"


def test_actors_leave_a_cpu_to_the_tasks_that_load():
    """Actors without labels may take all CPUs of the nodes that load, and would wait for them for ever."""
    loading = dataclasses.replace(
        CONFIG, query=QueryConfig(), resources=ResourceConfig(query_actors=7, loading_nodes=CHEAP)
    )
    with pytest.raises(
        CampaignError,
        match=r"has 4 CPUs on nodes with role cpu, but .* takes 5 at once: mend resources\.scoring-nodes or",
    ):
        require_capacity(loading, [Node({"CPU": 4.0}, CHEAP), Node({"CPU": 4.0}, {})])
    require_capacity(loading, [Node({"CPU": 8.0}, CHEAP), Node({"CPU": 4.0}, {})])
    apart = dataclasses.replace(loading.resources, scoring_nodes=FAST)
    require_capacity(
        dataclasses.replace(loading, resources=apart), [Node({"CPU": 1.0}, CHEAP), Node({"CPU": 7.0}, FAST)]
    )


def test_labels_are_plain_words():
    with pytest.raises(ConfigError, match=r"resources\.scoring-nodes holds 'in\(a,b\)'"):
        ResourceConfig(scoring_nodes={"role": "in(a,b)"})


def test_as_many_campaigns_as_every_kind_of_machine_has_room_for():
    assert campaigns_at_once(CONFIG, [Node({"CPU": 30.0}, {})]) == 3
    assert campaigns_at_once(CONFIG, [Node({"CPU": 30.0, "GPU": 8.0}, {})]) == 2
    assert campaigns_at_once(PLACED, [Node({"CPU": 40.0, "GPU": 16.0}, FAST), Node({"CPU": 3.0}, CHEAP)]) == 3
    assert campaigns_at_once(CONFIG, [Node({"CPU": 8.0}, {})]) == 0


def test_a_worker_does_not_spread_over_two_nodes():
    require_capacity(CONFIG, [Node({"CPU": 4.0}, {})] * 3)
    with pytest.raises(
        CampaignError, match="has 0 places for Train workers of 3 CPUs each, but this configuration takes 2"
    ):
        require_capacity(CONFIG, [Node({"CPU": 2.0}, {})] * 5)
    with pytest.raises(
        CampaignError,
        match="has 2 places for query actors of 2 CPUs and a GPU each, but this configuration takes 4",
    ):
        require_capacity(CONFIG, [Node({"CPU": 8.0, "GPU": 2.0}, {}), Node({"CPU": 1.0, "GPU": 8.0}, {})])
    assert campaigns_at_once(CONFIG, [Node({"CPU": 8.0}, {})] * 3) == 2
