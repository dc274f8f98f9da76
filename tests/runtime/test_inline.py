"""Shards and calls in this process: the same rows as through actors, and no thread setting left behind."""

import cv2
import numpy as np
import pytest
import torch

from atal_ray.config import Config, ResourceConfig
from atal_ray.errors import CampaignError, DataError
from atal_ray.networks.inputs import choose_device
from atal_ray.runtime.capacity import Place, actors_at_once, this_machine
from atal_ray.runtime.many_actors import call_on_actor
from atal_ray.runtime.session import campaign_session, session
from atal_ray.runtime.shards import Pool, run_shards, shard_rows
from atal_ray.runtime.throughput import Throughput

INLINE = Pool(1, 1, 0, backend="inline")


def load(row):
    cv2.setNumThreads(1)
    if row["shard"] == 9:
        raise DataError("shard 9 cannot be read")
    return {**row, "data": np.full(3, row["shard"])}


class Sum:
    made = 0

    def __init__(self, factor: int) -> None:
        torch.set_num_threads(1)
        type(self).made += 1
        self.factor = factor

    def __call__(self, row):
        return {"shard": row["shard"], "images": 2, "sum": self.factor * int(row["data"].sum())}


def run(rows, throughput=None):
    return list(
        run_shards(
            rows,
            INLINE,
            load=load,
            actor=Sum,
            arguments={"factor": 2},
            title="test",
            total=2 * len(rows),
            throughput=throughput,
        )
    )


def test_one_actor_takes_every_shard_in_order():
    Sum.made, figures = 0, Throughput()
    found = run(shard_rows(6, 2), figures)
    assert found == [{"shard": number, "images": 2, "sum": 6 * number} for number in range(3)]
    assert Sum.made == 1
    assert (figures.images, figures.actors, list(figures.seconds)) == (6, 1, ["loading", "scoring"])


def test_an_error_keeps_its_type_and_threads_are_as_before():
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    try:
        with pytest.raises(DataError, match="shard 9"):
            run([*shard_rows(4, 2), {"shard": 9, "start": 4, "stop": 6}])
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def test_a_call_is_a_plain_call():
    seen = []
    call_on_actor(
        lambda *given: seen.append(given),
        1,
        2,
        place=Place(64, 8, memory=2**60),
        backend="inline",
        title="test",
    )
    assert seen == [(1, 2)]


def test_no_session_and_one_actor():
    with session("inline", 4, 100), campaign_session(Config(resources=ResourceConfig(backend="inline"))):
        assert actors_at_once("inline", 8, gpus="require") == 1
    assert this_machine()["CPU"] >= 1
    assert this_machine()["memory"] > 2**28


def test_the_query_has_one_actor_with_the_threads_of_the_configuration():
    config = Config(resources=ResourceConfig(backend="inline", query_actors=4))
    assert Pool.of_query(config, network=True) == Pool(1, config.query.threads, 0, backend="inline")


def test_a_gpu_that_is_required_is_not_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("none") == torch.device("cpu")
    with pytest.raises(CampaignError, match=r"resources\.gpus is require, but PyTorch sees no GPU here"):
        choose_device("require")
