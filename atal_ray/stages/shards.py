"""Shards: fixed ranges of a manifest, the unit of work and of resume, whatever the number of actors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray.data import ActorPoolStrategy, Dataset
from tqdm import tqdm

from atal_ray.config import Config
from atal_ray.stages.failure import plain_error
from atal_ray.stages.ray_session import gpus_per_actor

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
    """The actors of a stage: how many, and the CPUs and GPUs of each."""

    actors: int
    threads: int
    gpus: int

    @classmethod
    def of_query(cls, config: Config, *, gpu: bool) -> "Pool":
        """The actors of the query and of the evaluation; `gpu` says whether they want one, if there is any."""
        return cls(config.resources.query_actors, config.query.threads, gpus_per_actor(config.resources.gpus) if gpu else 0)


def run_shards(
    rows: list[Row],
    pool: Pool,
    *,
    load: Callable[[Row], Row] | None,
    actor: type,
    arguments: dict[str, Any],
    title: str,
    total: int,
) -> Iterator[Row]:
    """Send shards through loading tasks and a pool of actors; yields the actor's row for each, in any order.

    Args:
        rows: from `shard_rows`; a row is a block of its own, so Ray can neither split nor join them.
        pool: the actors.
        load: reads a shard's images in a task; None where the actor does it.
        actor: callable class, row -> row with the field `images`.
        arguments: of the actor's constructor.
        title: of the progress bar.
        total: images in all shards, the done ones included.
    """
    done = total - sum(row["stop"] - row["start"] for row in rows)
    with tqdm(total=total, initial=done, desc=title, unit="image") as bar:
        if not rows:
            return
        dataset: Dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
        if load is not None:
            dataset = dataset.map(load, num_cpus=1)
        dataset = dataset.map(
            actor,
            fn_constructor_kwargs=arguments,
            compute=ActorPoolStrategy(size=min(pool.actors, len(rows))),
            num_cpus=pool.threads,
            num_gpus=pool.gpus,
        )
        try:
            for row in dataset.iter_rows():
                bar.update(int(row["images"]))
                yield row
        except Exception as error:
            raise plain_error(error, title) from error
