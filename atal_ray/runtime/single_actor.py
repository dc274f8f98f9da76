"""One call on an actor of its own: on a machine of the Ray cluster that has room for it, or inline in this
process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atal_ray.runtime.failure import plain_error


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
    interrupted.

    Raises:
        AtalError: why the call failed.
    """
    if backend == "inline":
        function(*arguments)
        return
    import ray

    options = {
        "num_cpus": needs.cpus,
        "num_gpus": needs.gpus,
        "memory": needs.memory,
        "label_selector": dict(needs.labels) or None,
        "scheduling_strategy": "DEFAULT",  # not in the placement group of a sweep's trial, which has no CPUs
    }
    actor = ray.remote(_Caller).options(**options).remote()
    try:
        ray.get(actor.call.remote(function, arguments))
    except Exception as error:
        raise plain_error(error, title) from error
    finally:
        ray.kill(actor)


class _Caller:
    def call(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        function(*arguments)
