"""One Ray for a campaign: the cluster that is there, or a local one with room for every nested job."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from atal_ray.config import Config
from atal_ray.runtime.autoscaling import grown
from atal_ray.runtime.capacity import cpus_wanted
from atal_ray.runtime.stop import raise_on_sigterm


@contextmanager
def ray_session(config: Config) -> Iterator[None]:
    """The Ray of a campaign, with room for its stages; see `local_or_given_ray`.

    Raises:
        CampaignError: see `require_room`.
    """
    outermost = not ray.is_initialized()
    with (
        local_or_given_ray(cpus_wanted(config), config.resources.object_store_mib),
        grown(config, ask=outermost),
    ):
        yield


@contextmanager
def local_or_given_ray(cpus: int, object_store_mib: int) -> Iterator[None]:
    """Use the Ray of this process or of RAY_ADDRESS, or start a local one with so many logical CPUs and stop
    it at the end.
    """
    started = not ray.is_initialized()
    if started and os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level="warning")
    elif started:
        ray.init(
            address="local",
            num_cpus=max(cpus, cores()),
            object_store_memory=object_store_mib * 2**20,
            include_dashboard=False,
            # the stages show progress and errors; the workers' logs stay in Ray's folder
            log_to_driver=False,
            logging_level="warning",
        )
    try:
        if started:
            raise_on_sigterm()
        yield
    finally:
        if started:
            ray.shutdown()


def cores() -> int:
    """CPUs that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
