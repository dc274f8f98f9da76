"""Shards: fixed ranges of a manifest, the unit of work and of resume, whatever the number of actors."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ray
from ray.data import ActorPoolStrategy, Dataset, ExecutionResources, TaskPoolStrategy
from tqdm import tqdm

from atal_ray.config import Config
from atal_ray.runtime.capacity import gpus_per_actor
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.runtime.throughput import LOADING, SECONDS, Throughput, TimedActor, timed_load

LOADERS_PER_ACTOR = 4
"""Loading tasks at once, at most: so many CPUs keep an actor busy that has a GPU."""
SHARDS_AT_ACTOR = 2
"""Loaded shards that an actor holds: the one it works on, and the next."""
LIMIT_PER_ACTOR = 8
"""Ray Data's budget of object store, in loaded shards; it keeps half of it for results, so about four are
there at once.
"""

BLOCKS = 256
"""Objects that the rows lie in: Ray's store holds each of them from start to end."""

Row = dict[str, Any]


def shard_rows(images: int, shard_size: int) -> list[Row]:
    """One row (shard, start, stop) for each range of `shard_size` images."""
    return [
        {"shard": number, "start": start, "stop": min(start + shard_size, images)}
        for number, start in enumerate(range(0, images, shard_size))
    ]


def part_name(shard: int, kind: str, suffix: str = "parquet") -> str:
    """The file in which a shard leaves what it has of one kind until all shards are done."""
    return f"{shard:06d}.{kind}.{suffix}"


@dataclass(frozen=True)
class Pool:
    """The actors of a stage: how many, the CPUs and GPUs of each, and where they and their loading tasks may
    run.
    """

    actors: int
    threads: int
    gpus: int
    labels: Mapping[str, str] = field(default_factory=dict)
    loader_labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_query(cls, config: Config, *, network: bool) -> "Pool":
        """The actors of the query and of the evaluation; without a network (random points) they take no GPU."""
        where = config.resources
        gpus = gpus_per_actor(where.gpus, where.scoring_nodes) if network else 0
        return cls(where.query_actors, config.query.threads, gpus, where.scoring_nodes, where.loading_nodes)


def run_shards(
    rows: list[Row],
    pool: Pool,
    *,
    load: Callable[[Row], Row] | None,
    actor: type,
    arguments: dict[str, Any],
    title: str,
    total: int,
    loaded_bytes: int = 0,
    throughput: Throughput | None = None,
) -> Iterator[Row]:
    """Send shards through loading tasks and a pool of actors; yields the actor's row for each, in any order.

    Args:
        rows: from `shard_rows`; what is made of a row is a block of its own, so Ray can neither split nor
            join them.
        pool: the actors.
        load: reads a shard's images in a task; None where the actor does it.
        actor: callable class, row -> row with the field `images`, and in `seconds` parts of its time if it
            likes.
        arguments: of the actor's constructor.
        title: of the progress bar.
        total: images in all shards, the done ones included.
        loaded_bytes: size of a loaded shard, which bounds how many of them wait for the actors; 0: as Ray's
            object store does.
        throughput: filled with what the stages took; on resume, for the shards that were left.
    """
    throughput = Throughput() if throughput is None else throughput
    throughput.actors = min(pool.actors, len(rows))
    done = total - sum(row["stop"] - row["start"] for row in rows)
    with progress_bar(total, title, "image", done=done) as bar:
        if not rows:
            return
        try:
            yield from _counted(
                _pipeline(rows, pool, load, actor, arguments, loaded_bytes).iter_rows(), throughput, bar
            )
        except Exception as error:
            raise plain_error(error, title) from error


def _counted(rows: Iterable[Row], throughput: Throughput, bar: "tqdm[Any]") -> Iterator[Row]:
    """The rows of the actors without their seconds, which go into the sums and the bar."""
    start = None
    for row in rows:
        seconds, now = row.pop(SECONDS), time.monotonic()
        start = (
            now - sum(spent for stage, spent in seconds.items() if stage != LOADING)
            if start is None
            else start
        )
        throughput.add(int(row["images"]), seconds, now - start)
        bar.set_postfix_str(throughput.line(), refresh=False)
        bar.update(int(row["images"]))
        yield row


def _pipeline(
    rows: list[Row],
    pool: Pool,
    load: Callable[[Row], Row] | None,
    actor: type,
    arguments: dict[str, Any],
    loaded_bytes: int,
) -> Dataset:
    """The stages as Ray Data runs them: loading is a stage of its own, so that it goes on while the actors
    are busy.
    """
    actors = min(pool.actors, len(rows))
    blocks = min(len(rows), BLOCKS)
    dataset: Dataset = ray.data.from_items(rows, override_num_blocks=blocks)
    dataset.context.target_max_block_size = (
        1  # a row of results is more: each becomes a block. The context is this dataset's own
    )
    if blocks < len(
        rows
    ):  # a task that kept many rows would keep its CPU, and an actor that dies would take them with it
        dataset = dataset.map(_same, compute=TaskPoolStrategy(size=1), num_cpus=0)
    if load is not None:
        if loaded_bytes:
            limit = ExecutionResources(object_store_memory=LIMIT_PER_ACTOR * actors * loaded_bytes)
            dataset.context.execution_options.resource_limits = limit
        # Without a size Ray may load inside the actors, shard by shard.
        loaders = TaskPoolStrategy(size=min(LOADERS_PER_ACTOR * actors, len(rows)))
        dataset = dataset.map(
            partial(timed_load, load=load),
            compute=loaders,
            num_cpus=1,
            label_selector=dict(pool.loader_labels) or None,
        )
    return dataset.map(
        TimedActor,
        fn_constructor_kwargs={"actor": actor, "arguments": arguments},
        compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=SHARDS_AT_ACTOR),
        num_cpus=pool.threads,
        num_gpus=pool.gpus,
        label_selector=dict(pool.labels) or None,
    )


def _same(row: Row) -> Row:
    return row
