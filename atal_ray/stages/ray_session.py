"""One Ray for a campaign: the cluster that is there, or a local one with room for every nested job."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import ray
from ray.autoscaler.sdk import request_resources

from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.stop import raise_on_sigterm

LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: what it has in all, and its labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str]

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether it has all of these labels."""
        return labels.items() <= self.labels.items()


def nodes() -> list[Node]:
    """The machines that are alive."""
    return [Node(node["Resources"], node["Labels"]) for node in ray.nodes() if node["Alive"]]


def scorer_bundles(config: Config) -> list[dict[str, float]]:
    """What the wider one of training and query takes at once, an entry for each worker or actor."""
    gpu = {"GPU": 1.0} if config.resources.gpus == "require" else {}
    actors = [{"CPU": float(config.query.threads), **gpu}] * config.resources.query_actors
    workers = [{"CPU": float(config.train.threads), **gpu}] * config.train.workers
    return max(actors, workers, key=lambda bundles: sum(bundle["CPU"] for bundle in bundles))


def cpus_wanted(config: Config) -> int:
    """Logical CPUs that the widest stage takes at once: its actors (or Train workers) and one task that feeds them."""
    return int(sum(bundle["CPU"] for bundle in scorer_bundles(config))) + 1


@dataclass(frozen=True)
class Demand:
    """Something that one stage takes at once, and how much of it the fitting machines have in all."""

    kind: str
    there: float
    wanted: int
    advice: str
    labels: Mapping[str, str] = field(default_factory=dict)


def demands(config: Config, machines: Iterable[Node]) -> Iterator[Demand]:
    """What the widest stage takes of all machines, of those that score, and of those that load."""
    machines, where, cpus = list(machines), config.resources, cpus_wanted(config)
    scoring = [node for node in machines if node.fits(where.scoring_nodes)]
    loading = [node for node in machines if node.fits(where.loading_nodes)]
    either = [node for node in machines if node.fits(where.scoring_nodes) or node.fits(where.loading_nodes)]
    lower = "lower resources.query-actors, query.threads, train.workers or train.threads"
    yield Demand("CPU", _total("CPU", either), cpus, lower)
    yield Demand("CPU", _total("CPU", scoring), cpus - 1, f"{lower}, or mend resources.scoring-nodes", where.scoring_nodes)
    yield Demand("CPU", _total("CPU", loading), 1, "mend resources.loading-nodes", where.loading_nodes)
    if where.gpus == "require" or (where.gpus == "auto" and _total("GPU", scoring) >= 1):
        gpus = max(config.train.workers, where.query_actors)
        yield Demand("GPU", _total("GPU", scoring), gpus, "lower resources.query-actors or train.workers", where.scoring_nodes)


def require_room(config: Config, machines: Iterable[Node]) -> None:
    """Refuse a cluster that cannot hold one stage: Ray would wait for ever.

    Raises:
        CampaignError: with what is there, what is wanted, and the fields to lower.
    """
    for demand in demands(config, machines):
        if demand.there < demand.wanted:
            labels = ", ".join(f"{key} {value}" for key, value in demand.labels.items())
            raise CampaignError(
                f"the Ray cluster has {demand.there:g} {demand.kind}s{f' on nodes with {labels}' if labels else ''}, "
                f"but this configuration takes {demand.wanted} at once: {demand.advice}"
            )


def campaigns_at_once(config: Config, machines: Iterable[Node]) -> int:
    """How many campaigns of this configuration the machines have room for; more could wait for each other for ever."""
    return int(min(demand.there // demand.wanted for demand in demands(config, machines)))


def _total(kind: str, machines: Iterable[Node]) -> float:
    return sum(float(node.resources.get(kind, 0)) for node in machines)


@contextmanager
def ray_session(config: Config) -> Iterator[None]:
    """The Ray of a campaign, with room for its stages; see `local_or_given_ray`.

    Raises:
        CampaignError: see `require_room`.
    """
    with local_or_given_ray(cpus_wanted(config), config.resources.object_store_mib):
        await_room(config)
        yield


def await_room(config: Config) -> None:
    """Wait `resources.wait_minutes` for a cluster that grows, which is told what is wanted; then it must have room.

    Raises:
        CampaignError: see `require_room`.
    """
    deadline = time.monotonic() + 60 * config.resources.wait_minutes
    try:
        require_room(config, nodes())
    except CampaignError as small:
        if not config.resources.wait_minutes:
            raise
        print(f"waiting up to {config.resources.wait_minutes:g} minutes for the cluster to grow: {small}", flush=True)
        with _asked_for(config):
            _wait_for_room(config, deadline)


@contextmanager
def _asked_for(config: Config) -> Iterator[None]:
    """Tell the autoscaler what is wanted while the block runs; afterwards the stages' own demand holds the machines."""
    scorers, where = scorer_bundles(config), config.resources
    selectors = [*[where.scoring_nodes] * len(scorers), where.loading_nodes]
    request_resources(bundles=[*scorers, {"CPU": 1.0}], bundle_label_selectors=selectors)
    try:
        yield
    finally:
        request_resources(bundles=[])


def _wait_for_room(config: Config, deadline: float) -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            return require_room(config, nodes())
        except CampaignError:
            if time.monotonic() >= deadline:
                raise


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
        if started:
            raise_on_sigterm()
        yield
    finally:
        if started:
            ray.shutdown()


def cores() -> int:
    """CPUs that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus_per_actor(gpus: str, labels: Mapping[str, str] | None = None) -> int:
    """1 where `gpus` is require, or auto and a node with these labels has one; else 0."""
    return int(gpus == "require" or (gpus == "auto" and _total("GPU", (node for node in nodes() if node.fits(labels or {}))) >= 1))


def largest_node(gpus: int, labels: Mapping[str, str]) -> Mapping[str, float]:
    """What the machine with the most CPUs has in all, of those with so many GPUs and these labels: an actor cannot spread over several."""
    fitting = [node.resources for node in nodes() if node.fits(labels) and node.resources.get("GPU", 0) >= gpus]
    return max(fitting, key=lambda resources: float(resources.get("CPU", 0)), default={})
