"""Capacity: what the stages take at once, what the machines of a cluster have, and a sentence where that is
too little.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from atal_ray.config import Config
from atal_ray.errors import CampaignError, counted

Machine = Mapping[str, float]
"""What a machine has in all, by the names that Ray gives it."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: what it has in all, and its labels."""

    resources: Mapping[str, float]
    labels: Mapping[str, str]

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether it has all of these labels."""
        return labels.items() <= self.labels.items()


def nodes() -> list[Node]:
    """The machines of the Ray cluster that are alive."""
    import ray  # here, because a campaign without Ray asks for no nodes

    return [Node(node["Resources"], node["Labels"]) for node in ray.nodes() if node["Alive"]]


def cpus_wanted(config: Config) -> int:
    """Logical CPUs that the widest stage takes at once: its actors (or Train workers) and one task that feeds
    them.
    """
    actors = config.resources.query_actors * config.query.threads
    return max(actors, config.train.workers * config.train.threads) + 1


@dataclass(frozen=True)
class Demand:
    """Something that one stage takes at once, and how much of it the fitting machines have in all."""

    what: str
    there: float
    wanted: int
    advice: str
    labels: Mapping[str, str] = field(default_factory=dict)


def demands(config: Config, machines: Iterable[Node]) -> Iterator[Demand]:
    """What the widest stage takes of all machines, of those that score, and of those that load.

    A worker or an actor lies on one machine: two with 2 CPUs each have no place for one of 4.
    """
    machines, where, cpus = list(machines), config.resources, cpus_wanted(config)
    scoring = [node for node in machines if node.fits(where.scoring_nodes)]
    loading = [node for node in machines if node.fits(where.loading_nodes)]
    either = [node for node in machines if node.fits(where.scoring_nodes) or node.fits(where.loading_nodes)]
    lower = _lower(
        {
            "resources.query-actors": where.query_actors,
            "query.threads": config.query.threads,
            "train.workers": config.train.workers,
            "train.threads": config.train.threads,
        }
    )
    yield Demand("CPUs", _total("CPU", either), cpus, lower)
    gpus = where.gpus == "require" or (where.gpus == "auto" and _total("GPU", scoring) >= 1)
    if gpus:
        most = max(config.train.workers, where.query_actors)
        yield Demand(
            "GPUs",
            _total("GPU", scoring),
            most,
            _lower({"resources.query-actors": where.query_actors, "train.workers": config.train.workers}),
            where.scoring_nodes,
        )
    for what, count, threads in (
        ("Train workers", config.train.workers, config.train.threads),
        ("query actors", where.query_actors, config.query.threads),
    ):
        places = sum(_places(node, threads, gpus=gpus) for node in scoring)
        each = f"{counted(threads, 'CPU')}{' and a GPU' if gpus else ''} each"
        yield Demand(
            f"places for {what} of {each}",
            places,
            count,
            f"{lower}, or mend resources.scoring-nodes",
            where.scoring_nodes,
        )
    shared = [node for node in loading if node.fits(where.scoring_nodes)]  # actors may take these CPUs first
    taken = min(where.query_actors, sum(_places(node, config.query.threads) for node in shared))
    mend = (
        "mend resources.scoring-nodes or resources.loading-nodes" if taken else "mend resources.loading-nodes"
    )
    yield Demand("CPUs", _total("CPU", loading), taken * config.query.threads + 1, mend, where.loading_nodes)


def _lower(fields: Mapping[str, int]) -> str:
    """Which fields can be lower than they are: `resources` in the same folder, the others in a new one."""
    names = [name for name, value in fields.items() if value > 1]
    free = [name for name in names if name.startswith("resources.")]
    fixed = [name for name in names if name not in free]
    ways = [f"lower {free[0]}"] if free else []
    if fixed:
        listed = f"{', '.join(fixed[:-1])} or {fixed[-1]}" if len(fixed) > 1 else fixed[0]
        ways.append(f"use a new folder with a lower {listed}")
    return ", or ".join(ways) or "add a machine to it"


def _places(node: Node, threads: int, *, gpus: bool = False) -> int:
    places = float(node.resources.get("CPU", 0)) // threads
    return int(min(places, node.resources.get("GPU", 0)) if gpus else places)


def require_capacity(config: Config, machines: Iterable[Node]) -> None:
    """Refuse a cluster that cannot hold one stage: Ray would wait for ever.

    Raises:
        CampaignError: with what is there, what is wanted, and the fields to lower.
    """
    for demand in demands(config, machines):
        if demand.there < demand.wanted:
            labels = ", ".join(f"{key} {value}" for key, value in demand.labels.items())
            what = demand.what if demand.there != 1 else re.sub(r"s\b", "", demand.what, count=1)
            raise CampaignError(
                f"the Ray cluster has {demand.there:g} "
                f"{what}{f' on nodes with {labels}' if labels else ''}, "
                f"but this configuration takes {demand.wanted} at once: {demand.advice}"
            )


def campaigns_at_once(config: Config, machines: Iterable[Node]) -> int:
    """How many campaigns of this configuration fit into the machines at once; more could wait for each other
    for ever.
    """
    return int(min(demand.there // demand.wanted for demand in demands(config, machines)))


@dataclass(frozen=True)
class Place:
    """What an actor or a task takes of one machine, and the labels of that machine."""

    threads: int
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    memory: int = 0
    """Bytes."""

    def __str__(self) -> str:
        """For people."""
        parts = [counted(self.threads, "CPU"), counted(self.gpus, "GPU")]
        parts += [f"{self.memory / 2**30:.1f} GiB of memory"] if self.memory else []
        return ", ".join([*parts, *(f"{key} {value}" for key, value in self.labels.items())])

    def fits(self, node: Node) -> bool:
        """Whether a machine has that much in all."""
        wanted = {"CPU": self.threads, "GPU": self.gpus, "memory": self.memory}
        return node.fits(self.labels) and all(
            node.resources.get(kind, 0) >= count for kind, count in wanted.items()
        )


def _total(kind: str, machines: Iterable[Node]) -> float:
    return sum(float(node.resources.get(kind, 0)) for node in machines)


def gpus_per_actor(gpus: str, labels: Mapping[str, str] | None = None) -> int:
    """1 where `gpus` is require, or auto and a node with these labels has one; else 0."""
    return int(
        gpus == "require"
        or (gpus == "auto" and _total("GPU", (node for node in nodes() if node.fits(labels or {}))) >= 1)
    )


def machines_with(labels: Mapping[str, str], gpus: int = 0) -> list[Machine]:
    """What each machine has in all, of those with these labels and so many GPUs."""
    return [node.resources for node in nodes() if node.fits(labels) and node.resources.get("GPU", 0) >= gpus]


def share_out(cpus: int, calls: int, memory: int, gpus: int, machines: Iterable[Machine]) -> tuple[int, int]:
    """How many actors share so many CPUs, and the threads of each: as many actors as have room at once.

    Args:
        cpus: of all actors together.
        calls: that they are for; more actors would be idle.
        memory: bytes that an actor takes.
        gpus: that it takes.
        machines: where they may be; an actor cannot spread over several.
    """
    machines = list(machines)
    fitting = [one for one in machines if one.get("memory", 0) >= memory and one.get("GPU", 0) >= gpus]
    machines = fitting or machines
    widest = int(max((machine.get("CPU", 1) for machine in machines), default=1))
    for actors in range(min(calls, cpus), 0, -1):
        threads = max(1, min(cpus // actors, widest))
        places = sum(
            int(
                min(
                    machine.get("CPU", 0) // threads,
                    machine.get("memory", 0) // max(1, memory),
                    machine.get("GPU", 0) // gpus if gpus else actors,
                )
            )
            for machine in machines
        )
        if places >= actors:
            return actors, threads
    return 1, max(1, min(cpus, widest))


def cores() -> int:
    """CPUs that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def this_machine() -> Machine:
    """CPUs and bytes of memory of this machine, under the names that Ray gives them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"CPU": cores(), "memory": memory}


def actors_at_once(backend: str, wanted: int, *, gpus: str = "none") -> int:
    """As many actors of one CPU (and one GPU, unless `gpus` is none) as are wanted and fit;
    wanted 0: all.

    Inline it is one: this process.
    """
    if backend == "inline":
        return 1
    machines = nodes()
    cpus = max(1, int(_total("CPU", machines)))
    fitting = min(wanted or cpus, cpus)
    return min(fitting, int(_total("GPU", machines))) if gpus_per_actor(gpus) else fitting
