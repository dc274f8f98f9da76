"""Several works as one: the same loading tasks and actors serve the stages of all."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from atal_ray.runtime.shards import Load, Row, ShardWork, Stage

PART = "part"
"""Field of a row: the number of its work."""


def joined(works: Sequence[ShardWork]) -> tuple[list[Row], Stage]:
    """The rows of all works in their order, and the one stage that does what each asks for."""
    if len(works) == 1:
        return works[0].rows, works[0].stage
    rows = [{**row, PART: number} for number, work in enumerate(works) for row in work.rows]
    stages = [work.stage for work in works]
    loads = [stage.load for stage in stages]
    return rows, Stage(
        JoinedActor,
        {"stages": [(stage.actor, stage.arguments) for stage in stages]},
        load=partial(load_part, loads=loads) if any(loads) else None,
        loaded_bytes=max(stage.loaded_bytes for stage in stages),
    )


def load_part(row: Row, loads: Sequence[Load | None]) -> Row:
    """A row as the stage of its part loads it."""
    load = loads[row[PART]]
    own = {key: value for key, value in row.items() if key != PART}
    return row if load is None else {**load(own), PART: row[PART]}


class JoinedActor:
    """The actors of several stages in one process; each is made with its first row.

    Args:
        stages: class and arguments of each.
    """

    def __init__(self, stages: Sequence[tuple[type, Mapping[str, Any]]]) -> None:
        self._stages = stages
        self._actors: dict[int, Any] = {}

    def __call__(self, row: Row) -> Row:
        """The row that the actor of its part makes."""
        part = int(row[PART])
        if part not in self._actors:
            actor, arguments = self._stages[part]
            self._actors[part] = actor(**arguments)
        found: Row = self._actors[part]({key: value for key, value in row.items() if key != PART})
        return found
