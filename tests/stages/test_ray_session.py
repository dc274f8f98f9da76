"""A cluster that is too small for one stage is refused before anything waits for ever."""

import dataclasses

import pytest

from atal_ray.config import Config, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.errors import CampaignError
from atal_ray.stages.ray_session import cpus_wanted, require_room

CONFIG = Config(train=TrainConfig(workers=2, threads=3), query=QueryConfig(threads=2), resources=ResourceConfig(query_actors=4))


def test_widest_stage_counts_with_one_task_to_feed_it():
    assert cpus_wanted(CONFIG) == 9
    assert cpus_wanted(dataclasses.replace(CONFIG, query=QueryConfig())) == 7


@pytest.mark.parametrize("resources", [{"CPU": 9.0}, {"CPU": 16.0, "GPU": 4.0}])
def test_room_is_enough(resources):
    require_room(CONFIG, resources)


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"CPU": 8.0}, "has 8 CPUs, but this configuration takes 9"),
        ({"CPU": 9.0, "GPU": 2.0}, "has 2 GPUs, but this configuration takes 4"),
    ],
)
def test_too_small_is_refused(resources, sentence):
    with pytest.raises(CampaignError, match=sentence):
        require_room(CONFIG, resources)


def test_gpus_do_not_matter_where_they_are_not_used():
    require_room(dataclasses.replace(CONFIG, resources=ResourceConfig(query_actors=4, gpus="none")), {"CPU": 9.0, "GPU": 1.0})
