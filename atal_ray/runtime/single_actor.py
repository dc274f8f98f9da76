"""One call on an actor of its own: on a machine of the Ray cluster that has room for it, or inline in this
process.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atal_ray.errors import CampaignError
from atal_ray.runtime.bad_images import DEATHS
from atal_ray.runtime.failure import plain_error

START_MINUTES = 15
"""That an actor waits for room: a machine that is to come takes minutes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ActorNeeds:
    """What the actor takes of one machine, and the labels of the nodes it may run on."""

    cpus: int
    gpus: int
    memory: int
    """Bytes."""
    labels: Mapping[str, str] = field(default_factory=dict)


def call_on_actor(
    function: Callable[..., None], *arguments: Any, needs: ActorNeeds, backend: str, title: str
) -> None:
    """Call a function in an actor that is made for it and ends with it, also where this process is
    interrupted; again where the actor's process or machine is lost.

    Raises:
        AtalError: why the call failed, or that the actor was lost again and again.
    """
    if backend == "inline":
        function(*arguments)
        return
    import ray
    from ray.exceptions import RayActorError

    for death in range(1, DEATHS + 1):
        actor = started(_Caller, needs, title)
        try:
            ray.get(actor.call.remote(function, arguments))
            return
        except RayActorError as error:
            if death == DEATHS:
                raise CampaignError(f"{plain_error(error, title)}; it did so {DEATHS} times") from error
            logger.warning("%s; it is tried again", plain_error(error, title))
        except Exception as error:
            raise plain_error(error, title) from error
        finally:
            ray.kill(actor)


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


class _Caller:
    def ready(self) -> None:
        """It has room."""

    def call(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        function(*arguments)
