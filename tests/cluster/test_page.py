"""The sums of cluster/README.md are those of the code."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from atal_ray.campaign.query.dataset_actor import NUMBERS, VECTOR, memory_needed
from atal_ray.campaign.query.load import loaded_bytes
from atal_ray.config import Config, QueryConfig, ResourceConfig, TrainConfig
from atal_ray.runtime.capacity import Node, cpus_wanted, demands
from atal_ray.runtime.ray_data import LIMIT_PER_ACTOR, LOADERS_PER_ACTOR

ROOT = Path(__file__).resolve().parents[2]
PAGE = " ".join((ROOT / "cluster" / "README.md").read_text().split())
WORKED = Config(
    train=TrainConfig(workers=4, threads=4),
    query=QueryConfig(threads=4),
    resources=ResourceConfig(query_actors=4),
)
IMAGES = 10_553  # DUTS-TR


def sums() -> list[str]:
    actors, query = WORKED.resources.query_actors, WORKED.query
    side, shard = WORKED.train.size, query.shard_size
    assert loaded_bytes(WORKED) == 6 * shard * side**2
    store = LIMIT_PER_ACTOR * actors * loaded_bytes(WORKED) / 2**30
    candidates = IMAGES * query.ceiling * query.cover_factor
    parts: Any = SimpleNamespace(candidates=candidates, channels=64)
    rds = memory_needed(parts, WORKED, IMAGES) / 2**30
    (gpus,) = (demand.wanted for demand in demands(WORKED, [Node({"GPU": 4.0}, {})]) if demand.what == "GPUs")
    return [
        f"| `train.workers 4`, `train.threads 4` | {cpus_wanted(WORKED) - 1} CPUs, {gpus} GPUs |",
        f"{actors * query.threads} CPUs, {actors} GPUs, and up to {LOADERS_PER_ACTOR * actors} CPUs to load",
        f"| `query.shard-size {shard}`, `train.size {side}` | {store:.1f} GiB of object store |",
        f"| `query.scope dataset` | {rds:.1f} GiB in one process |",
        f"{NUMBERS} bytes a candidate",
        f"{VECTOR} C + 100 more for those of `query.cover-images` images",
        f"at most {LOADERS_PER_ACTOR} an actor",
        f"loading stops at {LIMIT_PER_ACTOR} loaded shards an actor, "
        "each of `query.shard-size` x `train.size`² x 6 bytes",
    ]


@pytest.mark.parametrize("phrase", sums())
def test_the_page_says_it(phrase: str) -> None:
    assert phrase in PAGE


def test_kills_are_those_of_the_result_file() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "faults.json").read_text())
    rows = found["rows"]
    assert found["kills"] == len(rows) >= 24
    assert f"while {len(rows)} faults hit" in PAGE
    assert f"{sum(row['equal'] for row in rows)} times the points were those of an undisturbed run" in PAGE
    assert sum(row["lost"] + row["doubled"] for row in rows) == 0
    assert found["came_too_late"] == 1
    assert "One more, a disk that is full" in " ".join(PAGE.split())
    assert found["three_nodes_equal_one"]
    first = {
        row["campaign"]: number for number, row in reversed(list(enumerate(rows)))
    }.values()  # whose first command counts too
    alive = [
        row
        for number, row in enumerate(rows)
        if not row["victim"].startswith(("driver", "disk")) and number not in first
    ]
    assert len(alive) > 12
    assert not any(row["started_again"] for row in alive)
    seconds = max(row["exit_seconds"] for row in rows if row["exit_seconds"] is not None)
    assert seconds <= 3
    assert "SIGTERM ended the driver within 3 seconds" in PAGE
