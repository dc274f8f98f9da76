"""What a round reads, and what its actors hand to the driver: nothing twice, no map."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_campaigns import toy_config

from atal_ray.campaign import snapshot_actor
from atal_ray.campaign.query import score
from atal_ray.campaign.run import run_campaign
from atal_ray.data.record import Record
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.inference import prepared
from atal_ray.runtime.throughput import SECONDS

ROUNDS, IMAGES = 2, 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("once")
    first, second = (write_dataset(folder / f"test{n}", count=3, seed=n, size=(40, 64)) for n in (1, 2))
    return write_dataset(folder / "train", count=IMAGES, size=(40, 64)), (first, second)


def test_snapshots_and_images_are_read_once_for_all_that_looks_at_them(
    data: tuple[Path, tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    made: list[int] = []

    def counted(owner: Any, name: str, key: Any) -> None:
        work = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            read[key(*arguments)] += 1
            return work(*arguments, **named)

        monkeypatch.setattr(owner, name, call)

    monkeypatch.setattr(snapshot_actor, "_PREPARED", {})
    monkeypatch.setattr(snapshot_actor, "_TRACES", {})
    counted(snapshot_actor, "read_snapshots", lambda *_: "snapshots")
    counted(prepared, "trace", lambda *_: "traces")
    counted(Record, "read_image", lambda record: record.image)
    leave = score.PickShard.__call__

    def handed_over(actor: Any, row: dict[str, Any]) -> dict[str, Any]:
        found = leave(actor, row)
        made.append(sum(np.asarray(value).size for key, value in found.items() if key != SECONDS))
        return found

    monkeypatch.setattr(score.PickShard, "__call__", handed_over)
    config = toy_config(data[0], data[1])
    run_campaign(config, tmp_path / "run")
    assert read["snapshots"] == ROUNDS, "the evaluation of two test sets, and the query or the report's maps"
    assert read["traces"] == 1
    assert max(made) == 2, "the numbers of a shard and of its images"
    train = [str(path) for path in (data[0] / "images").iterdir()]
    always = ["random start", *["training"] * ROUNDS, "query"]
    shown = [*always, "maps for the report", "report"]
    assert Counter(read[path] for path in train) == {len(always): IMAGES - 4, len(shown): 4}
