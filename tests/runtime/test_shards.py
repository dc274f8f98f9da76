"""Shards through Ray Data: every one once, in one piece, few of them loaded at a time, and timed."""

import os
import re
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray import cloudpickle

from atal_ray.config.data import OnBadFile
from atal_ray.errors import CampaignError, DataError
from atal_ray.runtime import ray_data
from atal_ray.runtime.bad_images import LEFT_OUT, REASON, BadImages, require_kept
from atal_ray.runtime.ray_data import LIMIT_PER_ACTOR
from atal_ray.runtime.shards import Pool, ShardWork, Stage, run_shards, run_works, shard_rows
from atal_ray.runtime.throughput import Throughput

MIB = 2**20


@pytest.fixture(autouse=True)
def workers_need_not_find_this_file():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def load(row, size=MIB, bad=None):
    if row["shard"] == bad:
        raise DataError(f"shard {bad} cannot be read")
    return {**row, "data": np.full((1, size), row["shard"], np.uint8), "loaded": time.time()}


class Slow:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, row):
        time.sleep(self.seconds)
        sums = int(row["data"].astype(np.int64).sum()) if "data" in row else 0
        return {
            "shard": row["shard"],
            "images": row["stop"] - row["start"],
            "sum": sums,
            "loaded": row.get("loaded", 0),
            "done": time.time(),
        }


def run(images: int, actors: int = 1, seconds: float = 0.0, reader=load, pool=None, **settings):
    rows = shard_rows(images, 2)
    pool, arguments = pool or Pool(actors, 1, 0), {"seconds": seconds}
    return list(
        run_shards(
            rows, pool, load=reader, actor=Slow, arguments=arguments, title="test", total=images, **settings
        )
    )


def test_ranges_cover_every_image_once():
    assert shard_rows(5, 2) == [
        {"shard": 0, "start": 0, "stop": 2},
        {"shard": 1, "start": 2, "stop": 4},
        {"shard": 2, "start": 4, "stop": 5},
    ]
    assert shard_rows(0, 2) == []


@pytest.fixture(params=[ray_data.BLOCKS, pytest.param(2, marks=pytest.mark.slow)])
def blocks(request, monkeypatch):
    """A block for each row, as where there are few, and many rows in a block."""
    monkeypatch.setattr(ray_data, "BLOCKS", request.param)


@pytest.mark.parametrize("actors", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_every_shard_comes_once_and_whole(ray_local, blocks, actors):
    found = sorted(run(21, actors, loaded_bytes=MIB), key=lambda row: row["shard"])
    assert [(row["shard"], row["images"], row["sum"]) for row in found] == [
        (n, 2 - n // 10, n * MIB) for n in range(11)
    ]
    assert all("seconds" not in row for row in found)


@pytest.mark.slow
def test_few_loaded_shards_wait_for_a_slow_actor(ray_local, blocks):
    def most_at_once(**settings) -> int:
        found = run(80, seconds=0.02, **settings)
        events = sorted([(row["loaded"], 1) for row in found] + [(row["done"], -1) for row in found])
        return int(np.cumsum([change for _, change in events]).max())

    assert most_at_once(loaded_bytes=MIB) <= LIMIT_PER_ACTOR
    assert most_at_once(loaded_bytes=100 * MIB) > LIMIT_PER_ACTOR  # so it is the limit that held them back


class Process(Slow):
    """Says which process it is in, beside what no other stage gives."""

    def __init__(self, extra: dict[str, Any]) -> None:
        super().__init__(0.0)
        self.extra = extra

    def __call__(self, row):
        return {**super().__call__(row), **self.extra, "process": os.getpid()}


def test_several_works_share_the_actors_whatever_their_rows_hold(ray_local, capsys):
    stages = [
        Stage(Process, {"extra": {"lists": [["a", "b"]], "sums": {"of": 1.5}}}),
        Stage(Process, {"extra": {"lists": 7, "images": 2}}, load, loaded_bytes=MIB),
    ]
    works = [
        ShardWork(f"work {number}", shard_rows(6, 2), 6, stage, Throughput())
        for number, stage in enumerate(stages)
    ]
    found: list[list[Any]] = [[], []]
    for number, row in run_works(works, Pool(2, 1, 0)):
        found[number].append(row)
    assert [sorted(row["shard"] for row in rows) for rows in found] == [[0, 1, 2], [0, 1, 2]]
    assert [row["lists"] for row in found[0]] == [[["a", "b"]]] * 3
    assert sorted((row["shard"], row["lists"], row["sum"]) for row in found[1]) == [
        (number, 7, number * 2 * MIB // 2) for number in range(3)
    ]
    assert len({row["process"] for rows in found for row in rows}) <= 2
    assert [list(work.throughput.seconds) for work in works] == [["scoring"], ["loading", "scoring"]]
    assert [work.throughput.images for work in works] == [6, 6]
    assert {"work 0", "work 1"} <= set(re.findall(r"work \d", capsys.readouterr().err))


@pytest.mark.slow
def test_stages_are_timed(ray_local, capsys):
    figures = Throughput()
    run(9, 2, 0.05, throughput=figures)
    assert (figures.images, figures.actors) == (9, 2)
    assert list(figures.seconds) == ["loading", "scoring"]
    assert 5 * 0.05 <= figures.seconds["scoring"] < 5
    assert figures.elapsed > 0.05
    assert "an actor" in capsys.readouterr().err


@pytest.mark.slow
def test_four_actors_do_nearly_four_times_the_work_of_one(ray_local):
    """Where cores are free, as for actors that wait: what is left is the cost of handing shards out."""
    figures, seconds = Throughput(), 0.5
    run(320, 4, seconds, reader=None, throughput=figures)
    assert 160 * seconds / 4 / figures.elapsed >= 0.95
    assert figures.busy >= 0.95


def slow_load(row):
    time.sleep(0.05)
    return load(row)


def test_the_time_of_one_process_holds_its_loading():
    figures = Throughput()
    run(6, seconds=0.01, reader=slow_load, pool=Pool(1, 1, 0, backend="inline"), throughput=figures)
    assert figures.elapsed >= 3 * (0.05 + 0.01)
    assert figures.busy < 0.5


@pytest.mark.slow
def test_an_actor_that_loads_for_itself(ray_local):
    figures = Throughput()
    assert len(run(9, reader=None, throughput=figures)) == 5
    assert list(figures.seconds) == ["scoring"]


class DiesOnce(Slow):
    """Leaves a line for each shard that it has done; its first process ends at shard 3."""

    def __init__(self, seconds: float, folder: str) -> None:
        super().__init__(seconds)
        self.folder = Path(folder)

    def __call__(self, row):
        if row["shard"] == 3 and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            time.sleep(1)  # until the driver has the results before
            os._exit(1)
        with (self.folder / "done").open("a") as file:
            print(row["shard"], file=file)
        return super().__call__(row)


@pytest.mark.slow
@pytest.mark.parametrize("reader", [None, load])
def test_an_actor_that_dies_takes_no_finished_shard_with_it(ray_local, blocks, tmp_path, reader):
    rows, arguments = shard_rows(12, 2), {"seconds": 0.0, "folder": str(tmp_path)}
    found = list(
        run_shards(
            rows, Pool(1, 1, 0), load=reader, actor=DiesOnce, arguments=arguments, title="test", total=12
        )
    )
    assert sorted(row["shard"] for row in found) == [0, 1, 2, 3, 4, 5]
    assert (tmp_path / "died").exists()
    assert sorted((tmp_path / "done").read_text().split()) == list("012345")


class DiesAlways(Slow):
    """Ends its process at some images, as a library does that calls abort."""

    def __init__(self, seconds: float, deadly: set[int], together: int = 99, once: str = "") -> None:
        super().__init__(seconds)
        self.deadly, self.together, self.once = deadly, together, once

    def die_once_alone(self, row) -> None:
        """End the process when image 3 is tried alone for the first time, as a machine that goes does."""
        if self.once and (row["start"], row["stop"]) == (3, 4) and not Path(self.once).exists():
            Path(self.once).touch()
            os._exit(0)

    def __call__(self, row):
        self.die_once_alone(row)
        kept, reasons = [], {}
        for number in range(row["start"], row["stop"]):
            try:
                require_kept(row, number)
            except DataError as error:
                reasons[number] = str(error)
                continue
            if number in self.deadly:
                os._exit(0)
            kept.append(number)
        if len(kept) >= self.together:
            os._exit(0)
        return {**super().__call__(row), "kept": kept, "reasons": list(reasons.values())}


def dies_while_loading(row, deadly: int):
    if row["start"] <= deadly < row["stop"] and deadly not in row.get(LEFT_OUT, {}):
        os._exit(0)
    return row


def with_deaths(images: int, size: int, policy: OnBadFile, reader=None, **arguments):
    """What a stage leaves whose workers die on some images, by shard."""
    found = run_shards(
        shard_rows(images, size),
        Pool(1, 1, 0),
        load=reader,
        actor=DiesAlways,
        arguments={"seconds": 0.0, **arguments},
        title="test",
        total=images,
        bad=BadImages(lambda row, number: f"{number}.jpg", policy),
    )
    return sorted(found, key=lambda row: row["shard"])


@pytest.mark.slow
def test_an_image_on_which_workers_die_is_left_out_and_no_other(ray_local, caplog, tmp_path):
    found = with_deaths(8, 3, "skip", deadly={4}, once=str(tmp_path / "once"))
    assert [(row["shard"], row["images"], row["kept"], len(row["reasons"])) for row in found] == [
        (0, 3, [0, 1, 2], 0), (1, 3, [3, 5], 1), (2, 2, [6, 7], 0),
    ]  # fmt: skip
    assert found[1]["reasons"] == [REASON]
    assert (tmp_path / "once").exists(), "image 3 ended a process once"
    assert "workers died 3 times on images 4 to 6, which are tried one by one" in caplog.text
    assert f"4.jpg is left out: {REASON}" in caplog.text


@pytest.mark.slow
def test_an_image_on_which_workers_die_is_named_where_bad_files_are_refused(ray_local):
    with pytest.raises(DataError, match=rf"^test: 4\.jpg: {REASON}; the same command with "):
        with_deaths(8, 3, "refuse", deadly={4})


@pytest.mark.slow
def test_an_image_on_which_loading_tasks_die_is_found_as_well(ray_local):
    found = with_deaths(4, 2, "skip", reader=partial(dies_while_loading, deadly=3), deadly=set())
    assert [(row["shard"], row["kept"]) for row in found] == [(0, [0, 1]), (1, [2])]


@pytest.mark.slow
def test_images_that_end_workers_together_alone_are_a_sentence(ray_local):
    with pytest.raises(CampaignError, match="on images 1 to 3 together, but on none of the others alone"):
        with_deaths(4, 3, "skip", deadly=set(), together=3)


@pytest.mark.slow
def test_workers_that_die_on_whatever_image_are_a_sentence(ray_local):
    with pytest.raises(CampaignError, match="on each of 5 images, so it is none of them"):
        with_deaths(8, 8, "skip", deadly=set(range(8)))


def test_nothing_to_do_needs_no_ray():
    figures = Throughput()
    assert (
        list(
            run_shards(
                [],
                Pool(1, 1, 0),
                load=load,
                actor=Slow,
                arguments={},
                title="test",
                total=9,
                throughput=figures,
            )
        )
        == []
    )
    assert figures.images == 0


def test_what_a_worker_raises_is_one_sentence(ray_local):
    with pytest.raises(DataError, match=r"^shard 1 cannot be read$"):
        run(9, reader=partial(load, bad=1))


class Unmade(Slow):
    def __init__(self, seconds: float) -> None:
        raise DataError("the snapshots cannot be read")


@pytest.mark.slow
def test_what_the_constructor_of_an_actor_raises_is_its_sentence(ray_local):
    with pytest.raises(DataError, match=r"^the snapshots cannot be read$"):
        list(
            run_shards(
                shard_rows(3, 2),
                Pool(1, 1, 0),
                load=None,
                actor=Unmade,
                arguments={"seconds": 0.0},
                title="test",
                total=3,
            )
        )
