"""Shards: fixed ranges of a manifest, the unit of work and of resume, whatever the number of actors."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from atal_ray.config import Config
from atal_ray.runtime.bad_images import BadImages
from atal_ray.runtime.capacity import cpus_wanted, gpus_per_actor
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.own_threads import own_threads
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.runtime.throughput import LOADING, SECONDS, Throughput, TimedActor, timed_load

Row = dict[str, Any]
Load = Callable[[Row], Row]

FILES_SHARD = 512
"""Images in a shard of a stage that only reads and writes files: seconds of work."""


def shard_rows(images: int, shard_size: int) -> list[Row]:
    """One row (shard, start, stop) for each range of `shard_size` images."""
    return [
        {"shard": number, "start": start, "stop": min(start + shard_size, images)}
        for number, start in enumerate(range(0, images, shard_size))
    ]


@dataclass(frozen=True)
class Pool:
    """The actors of a stage: how many, the CPUs and GPUs of each, and on which nodes they and their loading
    tasks run.
    """

    actors: int
    threads: int
    gpus: int
    labels: Mapping[str, str] = field(default_factory=dict)
    loader_labels: Mapping[str, str] = field(default_factory=dict)
    backend: str = "ray"

    @classmethod
    def of_query(cls, config: Config, *, network: bool) -> "Pool":
        """The actors of the query and of the evaluation; without a network they take no GPU."""
        where, threads = config.resources, config.query.threads
        if where.backend == "inline":
            return cls(1, threads, 0, backend="inline")
        gpus = gpus_per_actor(where.gpus, where.scoring_nodes) if network else 0
        return cls(where.query_actors, threads, gpus, where.scoring_nodes, where.loading_nodes)

    @classmethod
    def of_files(cls, config: Config, images: int) -> "Pool":
        """The actors of a stage that only reads and writes files, one CPU each; as many as the campaign takes
        at once anyhow.

        What this process does in the time that actors take to start, it does itself.
        """
        where = config.resources
        if where.backend == "inline" or images <= FILES_SHARD:
            return cls(1, 1, 0, backend="inline")
        return cls(cpus_wanted(config) - 1, 1, 0, where.loading_nodes)


@dataclass(frozen=True)
class Stage:
    """What is done with each shard.

    Args:
        actor: callable class, row -> row with the field `images`, and in `seconds` parts of its time if it
            likes.
        arguments: of its constructor.
        load: reads a shard's images before it, in a task of its own; None where the actor does it.
        loaded_bytes: size of a loaded shard, which bounds how many wait for the actors; 0: as Ray's object
            store does.
    """

    actor: type
    arguments: Mapping[str, Any]
    load: Load | None = None
    loaded_bytes: int = 0


class LoadAndScore:
    """The whole stage in one process."""

    def __init__(self, stage: Stage) -> None:
        self._load, self._actor = stage.load, TimedActor(stage.actor, stage.arguments)

    def __call__(self, row: Row) -> Row:
        """The actor's row for a shard, loaded here."""
        return self._actor(row if self._load is None else timed_load(row, self._load))


def run_shards(
    rows: list[Row],
    pool: Pool,
    *,
    load: Load | None,
    actor: type,
    arguments: dict[str, Any],
    title: str,
    total: int,
    loaded_bytes: int = 0,
    throughput: Throughput | None = None,
    bad: BadImages | None = None,
) -> Iterator[Row]:
    """Send shards through loading tasks and a pool of actors; yields the actor's row for each, in any order.

    Args:
        rows: from `shard_rows`; a shard is neither split nor joined with others.
        pool: the actors; Ray Data runs them, or this process does, one shard after another.
        load: see `Stage`.
        actor: see `Stage`.
        arguments: see `Stage`.
        title: of the progress bar.
        total: images in all shards, the done ones included.
        loaded_bytes: see `Stage`.
        throughput: filled with what the stages took; on resume, for the shards that were left.
        bad: what becomes of an image on which workers die; what reads images calls `require_kept`.
    """
    stage = Stage(actor, arguments, load, loaded_bytes)
    throughput = Throughput() if throughput is None else throughput
    throughput.actors = min(pool.actors, len(rows))
    done = total - sum(row["stop"] - row["start"] for row in rows)
    with progress_bar(total, title, "image", done=done) as bar:
        if rows:
            inline = pool.backend == "inline"
            results = _inline(rows, stage) if inline else _on_ray(rows, pool, stage, bad, title)
            yield from _counted(results, throughput, bar, loads_ahead=not inline)


def _on_ray(rows: list[Row], pool: Pool, stage: Stage, bad: BadImages | None, title: str) -> Iterator[Row]:
    # Ray takes seconds to import, and inline needs none
    from atal_ray.runtime.one_by_one import one_by_one
    from atal_ray.runtime.ray_data import pipeline
    from atal_ray.runtime.tally import GIVEN_UP, WORK, tally

    given_up: list[int] = []
    try:
        with tally() as deaths:
            for row in pipeline(rows, pool, stage, deaths, title).iter_rows():
                if GIVEN_UP in row:
                    given_up.append(int(row[GIVEN_UP]))
                else:
                    del row[WORK]
                    yield row
    except Exception as error:
        raise plain_error(error, title) from error
    for number in given_up:
        yield one_by_one(rows[number], pool, stage, bad, title)


def _inline(rows: list[Row], stage: Stage) -> Iterator[Row]:
    """The same stage in this process, one shard after another."""
    with own_threads():
        yield from map(LoadAndScore(stage), rows)


def _counted(
    rows: Iterable[Row], throughput: Throughput, bar: "tqdm[Any]", *, loads_ahead: bool
) -> Iterator[Row]:
    """The rows of the actors without their seconds, which go into the sums and the bar.

    Where shards are not loaded ahead, by tasks beside the actor, their loading is part of the time.
    """
    start = None
    for row in rows:
        seconds, now = row.pop(SECONDS), time.monotonic()
        if start is None:
            apart = LOADING if loads_ahead else None
            start = now - sum(spent for stage, spent in seconds.items() if stage != apart)
        throughput.add(int(row["images"]), seconds, now - start)
        bar.set_postfix_str(throughput.line(), refresh=False)
        bar.update(int(row["images"]))
        yield row
