"""The trials of a study: many at once by Ray Tune, or inline, one after another in this process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from atal_ray.config import Config
from atal_ray.errors import AtalError, ConfigError
from atal_ray.runtime.failure import plain_error
from atal_ray.store.folder import Folder


@dataclass(frozen=True)
class TrialReport:
    """What a trial says after each of its steps."""

    step: int
    """From 0."""
    score: float
    """The metric that trials are compared by."""
    resource: int | None = None
    """How much the trial has had of what `Asha` rations; None: no trial is stopped after this step."""


class TrialObserver(Protocol):
    """What is called in the process that runs the study."""

    def on_report(self, name: str, report: TrialReport) -> None:
        """A trial has done a step; called once for each."""

    def on_end(self, name: str, last: TrialReport) -> None:
        """A trial has ended after this step, by itself or because ASHA stopped it."""


RunTrial = Callable[[str, Callable[[TrialReport], None]], None]
"""Runs the trial of a name, and calls the function that it is given after every step."""


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving (Li et al. 2020): which trials are stopped early."""

    higher_is_better: bool
    grace: int
    """Resource that every trial gets."""
    most: int
    """Resource that no trial exceeds."""
    keep_one_in: int
    """Of so many trials that reach a rung, one goes on; rungs lie at grace, grace times this, and so on."""


@dataclass(frozen=True)
class TrialSet:
    """Trials that run together."""

    run: RunTrial
    """Must be picklable where Ray runs it."""
    fields: Mapping[str, Mapping[str, Any]]
    """Name of each trial -> what distinguishes it, for Tune's own logs."""
    logs: Folder
    """Where Tune leaves these logs."""
    title: str
    at_once: int = 1
    """How many run at the same time; inline: always one."""
    asha: Asha | None = None
    """Which trials are stopped early; None: none."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the nodes that the trials' own processes run on; these wait for the stages and take no CPU."""


def run_trials(trials: TrialSet, observer: TrialObserver, backend: str) -> dict[str, AtalError]:
    """Run every trial to its end, or until ASHA stops it.

    Args:
        trials: inline, without `asha`.
        observer: is told what happens.
        backend: ray or inline.

    Returns:
        Why trials failed, by their names.
    """
    if backend == "inline":
        return _one_after_another(trials, observer)
    from atal_ray.runtime.ray_tune import fit  # Ray takes seconds to import, and inline needs none

    return fit(trials, observer)


def _one_after_another(trials: TrialSet, observer: TrialObserver) -> dict[str, AtalError]:
    if trials.asha is not None:
        raise ConfigError("ASHA compares trials that run at the same time, and inline there is one")
    failed: dict[str, AtalError] = {}
    for name in trials.fields:
        reports: list[TrialReport] = []

        def report(found: TrialReport, name: str = name, reports: list[TrialReport] = reports) -> None:
            reports.append(found)
            observer.on_report(name, found)

        try:
            trials.run(name, report)
        except Exception as error:
            failed[name] = plain_error(error, f"trial {name}")
            failed[name].__cause__ = error
        else:
            observer.on_end(name, reports[-1])
    return failed


@contextmanager
def trials_session(configs: Sequence[Config], wanted: int | None) -> Iterator[int]:
    """A Ray with room for `wanted` campaigns at once, or for as many as fit; yields their number, inline 1.

    Raises:
        CampaignError: the cluster has no room for one campaign.
        ConfigError: nor for as many as wanted; or more than one is wanted inline.
    """
    if configs[0].resources.backend == "inline":
        if wanted not in (None, 1):
            raise ConfigError(f"trials-at-once is {wanted}, but resources.backend inline runs one at a time")
        yield 1
        return
    from atal_ray.runtime.autoscaling import waited_for_capacity
    from atal_ray.runtime.capacity import campaigns_at_once, cores, cpus_wanted, nodes, require_capacity
    from atal_ray.runtime.session import session

    widest = max(configs, key=cpus_wanted)
    cpus = (wanted or max(1, cores() // cpus_wanted(widest))) * cpus_wanted(widest)
    with session("ray", cpus, widest.resources.object_store_mib), waited_for_capacity(widest, wanted or 1):
        for config in configs:
            require_capacity(config, nodes())
        fitting = min(campaigns_at_once(config, nodes()) for config in configs)
        if wanted is not None and wanted > fitting:
            raise ConfigError(
                f"trials-at-once is {wanted}, but the cluster has room for {fitting}: more would wait for "
                "each other for ever"
            )
        yield wanted or fitting
