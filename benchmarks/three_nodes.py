"""Three real raylets and one control store on one machine, whose nodes can vanish."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

os.environ |= {  # before Ray is imported, which reads them once
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_memory_monitor_refresh_ms": "0",
}

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "labels": {"role": "accelerator"}}
QUICK = {  # seconds, not half a minute, until a vanished node is noticed
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


@dataclass
class Nodes:
    """A head for what loads, and two nodes for what trains and scores."""

    cluster: Cluster
    scorers: list[Any] = field(default_factory=list)

    def grow(self) -> None:
        """Add a scoring node."""
        self.scorers.append(self.cluster.add_node(**NODE))

    def kill(self, worker: psutil.Process) -> None:
        """End the node that the process runs on as a power cut does: the raylet and all that it started; then
        a new one joins.
        """
        (node,) = (node for node in self.scorers if _raylet(node) == worker.ppid())
        raylet = psutil.Process(_raylet(node))
        for process in [*raylet.children(recursive=True), raylet]:
            process.kill()
        self.scorers.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)
        self.grow()

    @contextmanager
    def paused(self, worker: psutil.Process) -> Iterator[None]:
        """Pause the node that the process runs on while the block runs, as one that is cut off: nobody hears
        of it, and nothing of it has ended. A new one joins; the paused one goes on after the block, and is
        then told that it was given up.
        """
        (node,) = (node for node in self.scorers if _raylet(node) == worker.ppid())
        raylet = psutil.Process(_raylet(node))
        processes = [raylet, *raylet.children(recursive=True)]
        for process in processes:
            process.suspend()
        self.scorers.remove(node)
        self.grow()
        try:
            yield
        finally:
            for process in processes:
                process.resume()
            _, alive = psutil.wait_procs(processes, timeout=30)
            for process in alive:
                process.kill()
            self.cluster.remove_node(node, allow_graceful=False)

    def workers(self) -> Iterator[psutil.Process]:
        """The worker processes on the scoring nodes."""
        for node in self.scorers:
            try:
                yield from psutil.Process(_raylet(node)).children()
            except psutil.NoSuchProcess:
                continue


def _raylet(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


@contextmanager
def three_nodes() -> Iterator[Nodes]:
    """Three real raylets and one control store, on this machine; all of them end with the block."""
    head = {
        "num_cpus": 2,
        "object_store_memory": 100 * 2**20,
        "include_dashboard": False,
        "labels": {"role": "cpu"},
        "_system_config": QUICK,
    }
    nodes = Nodes(Cluster(initialize_head=True, head_node_args=head))
    try:
        for _ in range(2):
            nodes.grow()
        yield nodes
    finally:
        nodes.cluster.shutdown()
