"""A Ray that does not start is a sentence; one that ends leaves no thread behind."""

import sys
import threading
import time
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray.data._internal.execution.streaming_executor import StreamingExecutor

from atal_ray.errors import CampaignError
from atal_ray.runtime.session import end_pipelines, session


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (None, "^Ray did not start: the node timed out. Run the same command again"),
        ("10.0.0.1:6379", "^no Ray answers at 10.0.0.1:6379, which RAY_ADDRESS names: the node timed out. "),
    ],
)
def test_a_ray_that_does_not_start_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str | None, sentence: str
) -> None:
    def fails(**_: object) -> None:
        raise Exception("the node timed out.\nmore of it")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(CampaignError, match=sentence), session("ray", 1, 100):
        pass


@pytest.mark.slow
def test_no_pipeline_outlives_the_block(ray_local: None) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers need not find this file
    rows = ray.data.range(200, override_num_blocks=100).map(wait_a_moment).iter_rows()
    running = iter(rows)
    next(running)
    assert [thread for thread in threading.enumerate() if isinstance(thread, StreamingExecutor)]
    end_pipelines()
    left = [thread for thread in threading.enumerate() if isinstance(thread, StreamingExecutor)]
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert not any(thread.is_alive() for thread in left)


def wait_a_moment(row: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.5)
    return row
