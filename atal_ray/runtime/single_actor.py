"""An actor on a machine of the Ray cluster that has room for it, or a sentence where none has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atal_ray.errors import CampaignError

START_MINUTES = 15
"""That an actor waits for room: a machine that is to come takes minutes."""


@dataclass(frozen=True)
class ActorNeeds:
    """What the actor takes of one machine, and the labels of the nodes it may run on."""

    cpus: int
    gpus: int
    memory: int
    """Bytes."""
    labels: Mapping[str, str] = field(default_factory=dict)


def started(actor: type, needs: ActorNeeds, title: str, *arguments: Any) -> Any:
    """An actor with a method `ready`, as soon as it runs; CampaignError where no machine has room for it."""
    import ray

    options = {
        "num_cpus": needs.cpus,
        "num_gpus": needs.gpus,
        "memory": needs.memory,
        "label_selector": dict(needs.labels) or None,
        "scheduling_strategy": "DEFAULT",  # not in the placement group of a sweep's trial, which has no CPUs
    }
    made = ray.remote(actor).options(**options).remote(*arguments)
    ready, _ = ray.wait([made.ready.remote()], timeout=60 * START_MINUTES)
    if not ready:
        ray.kill(made)
        raise CampaignError(
            f"{title}: for {START_MINUTES} minutes no machine had room for an actor of {needs.cpus} CPUs, "
            f"{needs.gpus} GPUs and {needs.memory / 2**30:.1f} GiB: bring machines back, then run the same "
            "command again"
        )
    return made
