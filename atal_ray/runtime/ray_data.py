"""Shards through Ray Data: loading tasks, then a pool of actors, with few loaded shards in memory."""

from functools import partial
from typing import Any

import ray
from ray.data import ActorPoolStrategy, Dataset, ExecutionResources, TaskPoolStrategy
from ray.data._internal.execution.execution_callback import ExecutionCallback

from atal_ray.runtime.capacity import Place
from atal_ray.runtime.room import RoomWatch
from atal_ray.runtime.shards import Pool, Row, Stage
from atal_ray.runtime.tally import WORK, TalliedActor, tallied_load

LOADERS_PER_ACTOR = 4
"""Loading tasks at once, at most: so many CPUs keep an actor busy that has a GPU."""
SHARDS_AT_ACTOR = 2
"""Loaded shards that an actor holds: the one it works on, and the next."""
LIMIT_PER_ACTOR = 8
"""Ray Data's budget of object store, in loaded shards; it keeps half for results, so about four are there at
once.
"""
BLOCKS = 256
"""Objects that the rows lie in: Ray's store holds each of them from start to end."""


def pipeline(rows: list[Row], stage: Stage, pool: Pool, tally: Any, watch: RoomWatch) -> Dataset:
    """The stage as a dataset; loading is a stage of its own, so that it goes on while the actors are busy.

    A row of the result has the number of its shard in `WORK`, or in `GIVEN_UP` where workers die on it.
    """
    rows = [{**row, WORK: number} for number, row in enumerate(rows)]
    actors = min(pool.actors, len(rows))
    blocks = min(len(rows), BLOCKS)
    dataset: Dataset = ray.data.from_items(rows, override_num_blocks=blocks)
    # A row of results is larger than this: each becomes a block. The context is this dataset's own.
    dataset.context.target_max_block_size = 1
    dataset.context.custom_execution_callback_classes = [_room_callback(watch)]
    if blocks < len(rows):
        # A task that kept many rows would keep its CPU, and an actor that dies would take them along.
        dataset = dataset.map(_same, compute=TaskPoolStrategy(size=1), num_cpus=0)
    if stage.load is not None:
        if stage.loaded_bytes:
            limit = ExecutionResources(object_store_memory=LIMIT_PER_ACTOR * actors * stage.loaded_bytes)
            dataset.context.execution_options.resource_limits = limit
        # Without a size Ray may load inside the actors, shard by shard.
        loaders = TaskPoolStrategy(size=min(LOADERS_PER_ACTOR * actors, len(rows)))
        dataset = dataset.map(
            partial(tallied_load, load=stage.load, tally=tally),
            compute=loaders,
            num_cpus=1,
            label_selector=dict(pool.loader_labels) or None,
        )
    return dataset.map(
        TalliedActor,
        fn_constructor_kwargs={"actor": stage.actor, "arguments": dict(stage.arguments), "tally": tally},
        compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=SHARDS_AT_ACTOR),
        num_cpus=pool.threads,
        num_gpus=pool.gpus,
        label_selector=dict(pool.labels) or None,
    )


def watch_of(pool: Pool, title: str) -> RoomWatch:
    """What looks whether the cluster still has machines for a pool."""
    return RoomWatch(title, [pool.place, Place(1, 0, pool.loader_labels)])


def _room_callback(watch: RoomWatch) -> type[ExecutionCallback]:
    """A class that Ray Data makes one of, and calls while it runs the stage."""

    class RoomCallback(ExecutionCallback):  # type: ignore[misc]
        def on_execution_step(self, executor: Any) -> None:
            """What it raises ends the stage."""
            watch.look()

    return RoomCallback


def _same(row: Row) -> Row:
    return row
