"""Shards: fixed ranges of a manifest, the unit of work and of resume, whatever the number of actors."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from atal_ray.config import Config
from atal_ray.runtime.bad_images import BadImages
from atal_ray.runtime.capacity import Place, cpus_wanted, gpus_per_actor
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

    @property
    def place(self) -> Place:
        """What one of the actors takes of a machine."""
        return Place(self.threads, self.gpus, self.labels)

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


@dataclass(frozen=True)
class ShardWork:
    """Shards that go through a stage.

    Args:
        title: of the progress bar.
        rows: from `shard_rows`; a shard is neither split nor joined with others.
        total: images in all shards, the done ones included.
        stage: what is done with each.
        throughput: filled with what the stage took; on resume, for the shards that were left.
        bad: what becomes of an image on which workers die; what reads images calls `require_kept`.
    """

    title: str
    rows: list[Row]
    total: int
    stage: Stage
    throughput: Throughput = field(default_factory=Throughput)
    bad: BadImages | None = None


def run_shards(
    rows: list[Row],
    pool: Pool,
    *,
    load: Load | None,
    actor: type,
    arguments: Mapping[str, Any],
    title: str,
    total: int,
    loaded_bytes: int = 0,
    throughput: Throughput | None = None,
    bad: BadImages | None = None,
) -> Iterator[Row]:
    """Send the shards of one work through a pool of actors; yields the actor's row for each, in any order.

    Args:
        rows: see `ShardWork`.
        pool: the actors; Ray Data runs them, or this process does, one shard after another.
        load: see `Stage`, as are `actor`, `arguments` and `loaded_bytes`.
        actor: see there.
        arguments: see there.
        title: see `ShardWork`, as are `total`, `throughput` and `bad`.
        total: see there.
        loaded_bytes: see `Stage`.
        throughput: see `ShardWork`.
        bad: see there.
    """
    stage = Stage(actor, arguments, load, loaded_bytes)
    work = ShardWork(title, rows, total, stage, Throughput() if throughput is None else throughput, bad)
    yield from (row for _, row in run_works([work], pool))


def run_works(works: Sequence[ShardWork], pool: Pool) -> Generator[tuple[int, Row]]:
    """Send the shards of several works through the same loading tasks and actors, which then start once and
    read what they share once; yields the number of the work, and the actor's row.

    The shards of a work are begun in order, and those of the first work first.
    """
    inline = pool.backend == "inline"
    with ExitStack() as stack:
        counts = [_Count(work, stack, loads_ahead=not inline) for work in works]
        for work, count in zip(works, counts, strict=True):
            work.throughput.actors = min(pool.actors, len(work.rows))
            if count is counts[0] or not work.rows:
                count.show()
        if any(work.rows for work in works):
            for number, row in _inline(works) if inline else _on_ray(works, pool):
                counts[number].add(row)
                yield number, row


class LoadAndScore:
    """The whole stage in one process."""

    def __init__(self, stage: Stage) -> None:
        self._load, self._actor = stage.load, TimedActor(stage.actor, stage.arguments)

    def __call__(self, row: Row) -> Row:
        """The actor's row for a shard, loaded here."""
        return self._actor(row if self._load is None else timed_load(row, self._load))


def _on_ray(works: Sequence[ShardWork], pool: Pool) -> Iterator[tuple[int, Row]]:
    # Ray takes seconds to import, and inline needs none
    from atal_ray.runtime.joined import joined
    from atal_ray.runtime.one_by_one import one_by_one
    from atal_ray.runtime.ray_data import pipeline, watch_of
    from atal_ray.runtime.tally import GIVEN_UP, WORK, tally

    title = " and ".join(work.title for work in works)
    whose = [(number, row) for number, work in enumerate(works) for row in work.rows]
    given_up: list[int] = []
    try:
        watch = watch_of(pool, title)
        with tally() as deaths:
            for row in pipeline(*joined(works), pool, deaths, watch).iter_rows():
                watch.went_on()
                if GIVEN_UP in row:
                    given_up.append(int(row[GIVEN_UP]))
                else:
                    yield whose[int(row.pop(WORK))][0], row
    except Exception as error:
        raise plain_error(error, title) from error
    for place in given_up:
        number, row = whose[place]
        work = works[number]
        yield number, one_by_one(row, pool, work.stage, work.bad, work.title)


def _inline(works: Sequence[ShardWork]) -> Iterator[tuple[int, Row]]:
    """The same stages in this process, one shard after another."""
    with own_threads():
        for number, work in enumerate(works):
            for row in map(LoadAndScore(work.stage), work.rows):
                yield number, row


class _Count:
    """The progress bar of a work, and the seconds of its parts.

    Where shards are not loaded ahead, by tasks beside the actor, their loading is part of the time.
    """

    def __init__(self, work: ShardWork, stack: ExitStack, *, loads_ahead: bool) -> None:
        self.work, self.stack, self.apart = work, stack, LOADING if loads_ahead else None
        self.left = len(work.rows)
        self.bar: tqdm[Any] | None = None
        self.start = 0.0

    def show(self) -> "tqdm[Any]":
        """The bar, which stands from here on."""
        if self.bar is None:
            done = self.work.total - sum(row["stop"] - row["start"] for row in self.work.rows)
            bar = progress_bar(self.work.total, self.work.title, "image", done=done)
            self.bar = self.stack.enter_context(bar)
        return self.bar

    def add(self, row: Row) -> None:
        """Take the seconds out of a row of the actor; the last row closes the bar."""
        bar, throughput = self.show(), self.work.throughput
        seconds, now = row.pop(SECONDS), time.monotonic()
        if self.work.stage.load is None:
            seconds.pop(LOADING, None)  # what a loading task took to hand the row on
        if not throughput.images:
            self.start = now - sum(spent for stage, spent in seconds.items() if stage != self.apart)
        throughput.add(int(row["images"]), seconds, now - self.start)
        bar.set_postfix_str(throughput.line(), refresh=False)
        bar.update(int(row["images"]))
        self.left -= 1
        if not self.left:
            bar.close()
