"""On a GPU the next batch is looked at while one is used; a CPU stands for the GPU."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import open_campaign

from atal_ray.campaign.campaign_folder import METRICS
from atal_ray.campaign.evaluate import EvaluateShard
from atal_ray.config import Config, QueryConfig

Finished = tuple[Config, Path]


def evaluator(finished: Finished, *, on_gpu: bool) -> EvaluateShard:
    config, folder = finished
    changed = Config(**{**vars(config), "query": QueryConfig(batch_size=2)})
    (name,) = json.loads(open_campaign(folder).round(0).read_bytes(METRICS))
    actor = EvaluateShard(open_campaign(folder), changed, 0, name)
    actor.on_gpu = on_gpu
    return actor


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return {key: plain(of) for key, of in value.items()} if isinstance(value, dict) else value


def test_an_evaluation_finds_the_same(finished: Finished) -> None:
    folder = finished[1]
    (name,) = json.loads(open_campaign(folder).round(0).read_bytes(METRICS))
    rows = (open_campaign(folder).root / "tests").count_rows(f"{name}.parquet")
    assert rows >= 3, "two batches"
    shard = {"shard": 0, "start": 0, "stop": rows}
    one_by_one, ahead = (evaluator(finished, on_gpu=on_gpu)(dict(shard)) for on_gpu in (False, True))
    assert plain(one_by_one) == plain(ahead)


def test_one_thread_looks_for_all_and_an_error_does_not_stop_it(finished: Finished) -> None:
    looked: set[int] = set()

    def look(batch: int) -> int:
        looked.add(threading.get_ident())
        if batch == 1:
            raise ValueError("one")
        return batch

    first, second = (evaluator(finished, on_gpu=True) for _ in range(2))
    with pytest.raises(ValueError, match="one"):
        list(first.ahead(look, range(3)))
    assert list(first.ahead(look, [5, 6])) == [5, 6]
    assert list(second.ahead(look, [7])) == [7]
    assert len(looked) == 1
    assert threading.get_ident() not in looked
    looked.clear()
    assert list(evaluator(finished, on_gpu=False).ahead(look, [8])) == [8]
    assert looked == {threading.get_ident()}
