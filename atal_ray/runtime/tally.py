"""How often workers died on a shard: Ray Data would give it to new ones for ever, and say nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from atal_ray.runtime.bad_images import DEATHS
from atal_ray.runtime.throughput import TimedActor, timed_load

Row = dict[str, Any]

WORK, GIVEN_UP = "work", "given_up"
"""Fields of a row: the number of its shard; that of a shard on which workers die."""


class DeathTally:
    """Counts what was begun and never ended: each time, a worker died on it."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def begin(self, work: str) -> int:
        """How often this work was begun before, and not ended."""
        before = self._open[work]
        self._open[work] += 1
        return before

    def end(self, work: str) -> None:
        """It was done; another copy of it may still be under way, or be made where its result is lost."""
        del self._open[work]


@contextmanager
def tally() -> Iterator[Any]:
    """A `DeathTally` as an actor on this machine, whose end is also that of whoever counts on it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
    actor = ray.remote(DeathTally).options(**options).remote()
    try:
        yield actor
    finally:
        ray.kill(actor)


def _tallied(tally: Any, kind: str, row: Row, work: Callable[[Row], Row]) -> Row:
    """The result of the work on a row, or a row that says that workers die on it."""
    number = int(row.pop(WORK))
    if ray.get(tally.begin.remote(f"{kind} {number}")) >= DEATHS:
        return {GIVEN_UP: number}
    found = work(row)
    ray.get(tally.end.remote(f"{kind} {number}"))
    return {**found, WORK: number}


def tallied_load(row: Row, load: Callable[[Row], Row], tally: Any) -> Row:
    """`timed_load`, unless workers died on this shard again and again."""
    return _tallied(tally, "load", dict(row), lambda row: timed_load(row, load))


class TalliedActor:
    """A `TimedActor` that leaves a shard alone on which workers died again and again.

    It is made at the first shard: what a constructor raises, Ray reports as a process that died.
    """

    def __init__(self, actor: Callable[..., Callable[[Row], Row]], arguments: Row, tally: Any) -> None:
        self._make, self.tally = partial(TimedActor, actor, arguments), tally

    @cached_property
    def actor(self) -> TimedActor:
        """The actor that does the work."""
        return self._make()

    def __call__(self, row: Row) -> Row:
        """The inner actor's row for a loaded shard."""
        if GIVEN_UP in row:
            return dict(row)
        return _tallied(self.tally, "score", dict(row), lambda row: self.actor(row))
