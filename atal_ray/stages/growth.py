"""A cluster that grows: its autoscaler is told what the widest stages take, and the campaign waits for it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.autoscaler.sdk import request_resources

from atal_ray.config import Config

LOOK_SECONDS = 1.0


@contextmanager
def grown(config: Config, wanted: dict[str, int]) -> Iterator[None]:
    """Wait at most `resources.wait_minutes` until the cluster has what is wanted, which then stays while the block runs.

    Args:
        config: the configuration.
        wanted: how much of what; if it never comes, whoever needs it says so.
    """
    if config.resources.wait_minutes == 0:
        yield
        return
    request_resources(bundles=bundles(config))  # of demand alone the autoscaler learns too late: no stage starts without room
    try:
        _wait(wanted, time.monotonic() + 60 * config.resources.wait_minutes)
        yield
    finally:
        request_resources(bundles=[])  # idle nodes may go again


def bundles(config: Config) -> list[dict[str, float]]:
    """What the widest stages take, in the pieces that each lie on one machine: Train workers or actors, and a task that feeds them."""
    train, query, actors = config.train, config.query, config.resources.query_actors
    gpu = {"GPU": 1.0} if config.resources.gpus == "auto" else {}
    pieces = max(train.workers, actors)
    threads = [max(train.threads * (piece < train.workers), query.threads * (piece < actors)) for piece in range(pieces)]
    return [*({"CPU": float(count), **gpu} for count in threads), {"CPU": 1.0}]


def _wait(wanted: dict[str, int], deadline: float) -> None:
    told = False
    while time.monotonic() < deadline:
        there = ray.cluster_resources()
        if all(there.get(kind, 0) >= count for kind, count in wanted.items()):
            return
        if not told:
            lacking = ", ".join(f"{there.get(kind, 0):g} of {count} {kind}s" for kind, count in wanted.items())
            print(f"waiting for the cluster to grow: {lacking}", file=sys.stderr, flush=True)
            told = True
        time.sleep(LOOK_SECONDS)
