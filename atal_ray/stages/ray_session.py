"""One Ray for a campaign: the cluster that is there, or a local one with room for every nested job."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.stages.growth import grown


def cpus_wanted(config: Config) -> int:
    """Logical CPUs that the widest stage takes at once: its actors (or Train workers) and one task that feeds them."""
    actors = config.resources.query_actors * config.query.threads
    return max(actors, config.train.workers * config.train.threads) + 1


def wanted(config: Config, resources: dict[str, float]) -> dict[str, int]:
    """CPUs and GPUs that a stage takes at once; GPUs where there are any, or where a cluster is waited for that has them."""
    count = {"CPU": cpus_wanted(config)}
    if config.resources.gpus == "auto" and (resources.get("GPU", 0) >= 1 or config.resources.wait_minutes):
        count["GPU"] = max(config.train.workers, config.resources.query_actors)
    return count


def require_room(config: Config, resources: dict[str, float]) -> None:
    """Refuse a cluster that cannot hold one stage: Ray would wait for ever.

    Raises:
        CampaignError: with what is there, what is wanted, and the fields to lower.
    """
    for kind, count in wanted(config, resources).items():
        if resources.get(kind, 0) < count:
            raise CampaignError(
                f"the Ray cluster has {resources.get(kind, 0):g} {kind}s, but this configuration takes {count} at once: "
                "lower resources.query-actors, query.threads, train.workers or train.threads"
            )


@contextmanager
def ray_session(config: Config) -> Iterator[None]:
    """The Ray of a campaign, with room for its stages; see `local_or_given_ray`.

    Raises:
        CampaignError: see `require_room`.
    """
    local = local_or_given_ray(cpus_wanted(config), config.resources.object_store_mib)
    with local, grown(config, wanted(config, ray.cluster_resources())):
        require_room(config, ray.cluster_resources())
        yield


@contextmanager
def local_or_given_ray(cpus: int, object_store_mib: int) -> Iterator[None]:
    """Use the Ray of this process or of RAY_ADDRESS, or start a local one with so many logical CPUs and stop it at the end."""
    started = not ray.is_initialized()
    if started and os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level="warning")
    elif started:
        ray.init(
            address="local",
            num_cpus=max(cpus, cores()),
            object_store_memory=object_store_mib * 2**20,
            include_dashboard=False,
            log_to_driver=False,  # the stages show progress and errors; the workers' logs stay in Ray's folder
            logging_level="warning",
        )
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def cores() -> int:
    """CPUs that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus_per_actor(gpus: str) -> int:
    """1 where `gpus` is auto and the cluster has one, else 0."""
    return int(gpus == "auto" and ray.cluster_resources().get("GPU", 0) >= 1)


def largest_node(gpus: int = 0) -> dict[str, float]:
    """What the machine with the most CPUs has in all, of those with so many GPUs: one actor cannot spread over several."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) >= gpus]
    return max(nodes, key=lambda resources: float(resources.get("CPU", 0)), default={})
