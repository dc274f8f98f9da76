"""A cluster that has lost the machines of a stage: Ray would wait for others for ever."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from atal_ray.errors import CampaignError
from atal_ray.runtime.capacity import has_room, nodes
from atal_ray.runtime.single_actor import START_MINUTES

LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """What an actor or a task takes of one machine, and the labels of that machine."""

    threads: int
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


class RoomWatch:
    """Looks now and then whether the cluster has a machine for each of these places.

    Args:
        title: of the stage.
        places: what it takes, one of each kind.
    """

    def __init__(self, title: str, places: Sequence[Place]) -> None:
        self.title, self.places = title, places
        self.looked = self.since = time.monotonic()

    def look(self) -> None:
        """Raise CampaignError where there was none for too long; to be called again and again."""
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked, machines = now, nodes()
        lacking = [one for one in self.places if not has_room(one.threads, one.gpus, one.labels, machines)]
        if not lacking:
            self.since = now
        elif now - self.since > 60 * START_MINUTES:
            labels = ", ".join(f"{key} {value}" for key, value in lacking[0].labels.items())
            raise CampaignError(
                f"{self.title}: for {START_MINUTES} minutes the cluster had no machine with "
                f"{lacking[0].threads} CPUs and {lacking[0].gpus} GPUs{f' and {labels}' if labels else ''}: "
                "bring one back, then run the same command again"
            )
