"""A cluster that grows: ask its autoscaler for what the widest stages take, and wait for it."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ray.autoscaler.sdk import request_resources

from atal_ray.config import Config
from atal_ray.errors import counted
from atal_ray.runtime.capacity import campaigns_at_once, nodes, require_capacity

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


@contextmanager
def waited_for_capacity(config: Config, campaigns: int = 1, *, ask: bool = True) -> Iterator[None]:
    """Wait at most `resources.wait_minutes` until the cluster has the capacity, and keep it while the block
    runs.

    Args:
        config: the configuration.
        campaigns: so many are to run at once.
        ask: ask the autoscaler; not in a campaign of a sweep, which has asked for all of them: a second
            request would overwrite the first.

    Raises:
        CampaignError: there is no capacity for one of them; see `require_capacity`.
    """
    if config.resources.wait_minutes == 0:
        require_capacity(config, nodes())
        yield
        return
    deadline = time.monotonic() + 60 * config.resources.wait_minutes
    if not ask:
        _wait(config, campaigns, deadline)
        yield
        return
    pieces = pieces_wanted(config) * campaigns
    request_resources(  # demand alone comes too late
        bundles=[bundle for bundle, _ in pieces], bundle_label_selectors=[labels for _, labels in pieces]
    )
    try:
        _wait(config, campaigns, deadline)
        yield
    finally:
        request_resources(bundles=[])  # idle nodes may go again


def pieces_wanted(config: Config) -> list[tuple[dict[str, float], Mapping[str, str]]]:
    """What the widest stages take, in pieces that each lie on one machine with these labels: Train workers or
    actors and, last, a task that feeds them, with the CPUs of its machines that actors may take before it.
    """
    train, query, where = config.train, config.query, config.resources
    gpu = {"GPU": 1.0} if where.gpus == "require" else {}
    threads = [
        max(train.threads * (piece < train.workers), query.threads * (piece < where.query_actors))
        for piece in range(max(train.workers, where.query_actors))
    ]
    scoring, loading = where.scoring_nodes, where.loading_nodes
    may_share = all(scoring.get(key, value) == value for key, value in loading.items())
    apart = not loading.items() <= scoring.items()  # else the actors' own pieces lie on nodes that load
    taken = [{"CPU": float(query.threads)}] * where.query_actors if may_share and apart else []
    return [
        *(({"CPU": float(cpus), **gpu}, scoring) for cpus in threads),
        *((bundle, loading) for bundle in [*taken, {"CPU": 1.0}]),
    ]


def _minutes(time: float) -> str:
    return counted(int(time), "minute") if time == int(time) else f"{time:g} minutes"


def _wait(config: Config, campaigns: int, deadline: float) -> None:
    """Wait until there is capacity for so many campaigns; when the time is over, one must fit."""
    announced = False
    while campaigns_at_once(config, machines := nodes()) < campaigns:
        if time.monotonic() >= deadline:
            return require_capacity(config, machines)
        if not announced:
            minutes, there = _minutes(config.resources.wait_minutes), campaigns_at_once(config, machines)
            wanted = counted(campaigns, "campaign")
            logger.info(f"waiting up to {minutes} for the cluster to grow: room for {there} of {wanted}")
            announced = True
        time.sleep(LOOK_SECONDS)
