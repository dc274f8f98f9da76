"""An actor on a machine of the Ray cluster that has room for it, or a sentence where none has."""

from typing import Any

from atal_ray.runtime.capacity import Place
from atal_ray.runtime.room import LOOK_SECONDS, RoomWatch


def placed(actor: type, place: Place, *arguments: Any) -> tuple[Any, Any]:
    """An actor with a method `ready`, and what is there as soon as it runs."""
    import ray

    options = {
        "num_cpus": place.threads,
        "num_gpus": place.gpus,
        "memory": place.memory,
        "label_selector": dict(place.labels) or None,
        "scheduling_strategy": "DEFAULT",  # not in the placement group of a sweep's trial, which has no CPUs
    }
    made = ray.remote(actor).options(**options).remote(*arguments)
    return made, made.ready.remote()


def started(actor: type, place: Place, title: str, *arguments: Any) -> Any:
    """An actor with a method `ready`, as soon as it runs; CampaignError where no machine could hold it."""
    import ray

    made, ready = placed(actor, place, *arguments)
    watch = RoomWatch(title, [place])
    try:
        while not ray.wait([ready], timeout=LOOK_SECONDS)[0]:
            watch.look()
    except BaseException:
        ray.kill(made)
        raise
    return made
