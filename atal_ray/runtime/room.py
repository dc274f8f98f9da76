"""A cluster that has lost the machines of a stage: Ray Data would wait for others for ever."""

import time
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

from atal_ray.errors import CampaignError
from atal_ray.runtime.capacity import has_room, nodes
from atal_ray.runtime.shards import Pool
from atal_ray.runtime.single_actor import START_MINUTES

LOOK_SECONDS = 10.0


def room_watch(pool: Pool, title: str) -> type[ExecutionCallback]:
    """A class that Ray Data calls while it runs a stage, and that ends it where no machine has room for it."""

    class RoomWatch(ExecutionCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.looked = self.since = time.monotonic()

        def on_execution_step(self, executor: Any) -> None:
            """Look now and then for a machine for an actor and one for a loading task."""
            now = time.monotonic()
            if now - self.looked < LOOK_SECONDS:
                return
            self.looked, machines = now, nodes()
            wanted = ((pool.threads, pool.gpus, pool.labels), (1, 0, pool.loader_labels))
            if all(has_room(*one, machines) for one in wanted):
                self.since = now
            elif now - self.since > 60 * START_MINUTES:
                raise CampaignError(
                    f"{title}: for {START_MINUTES} minutes no machine of the cluster had {pool.threads} CPUs "
                    f"and {pool.gpus} GPUs for it: bring machines back, then run the same command again"
                )

    return RoomWatch
