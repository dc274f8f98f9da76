"""Stage: campaigns -> campaigns that are finished, or stopped as poor, many at once (Ray Tune)."""

import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler

from atal_ray.campaign.campaign_folder import METRICS, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config
from atal_ray.errors import AtalError, CampaignError, CheckpointError, ConfigError, DataError
from atal_ray.report.page import REPORT
from atal_ray.runtime.autoscaling import grown
from atal_ray.runtime.capacity import campaigns_at_once, cores, cpus_wanted, nodes, require_capacity
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.runtime.session import session
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sharing import share_first_round

STOPPED = "stopped.json"
TRIES = 3
PERMANENT = (ConfigError, DataError, CheckpointError)  # no use in trying again
TRIAL = {
    "memory": 2**20
    # a trial's own process waits for others: it takes none of the CPUs that they count on, and Ray wants
    # something
}


@dataclass(frozen=True)
class Job:
    """One campaign that a trial runs."""

    name: str
    config: Config
    campaign: CampaignFolder
    fields: Mapping[str, Any]
    source: CampaignFolder | None = None
    """The campaign whose round 0 it shares."""

    @property
    def is_stopped(self) -> bool:
        """Whether an earlier call stopped it as poor."""
        return self.campaign.root.exists(STOPPED)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_stopped or (self.campaign.root.exists(REPORT) and self.committed >= self.config.rounds)

    @property
    def committed(self) -> int:
        """Rounds that are done."""
        return self.campaign.committed_rounds()


@contextmanager
def trials_session(configs: Sequence[Config], wanted: int | None) -> Iterator[int]:
    """A Ray with room for `wanted` campaigns at once, or for as many as fit; yields their number.

    Raises:
        CampaignError: the cluster has no room for one campaign, or not for as many as wanted.
    """
    widest = max(configs, key=cpus_wanted)
    cpus = (wanted or max(1, cores() // cpus_wanted(widest))) * cpus_wanted(widest)
    with session("ray", cpus, widest.resources.object_store_mib), grown(widest, wanted or 1):
        for config in configs:
            require_capacity(config, nodes())
        fitting = min(campaigns_at_once(config, nodes()) for config in configs)
        if wanted is not None and wanted > fitting:
            raise ConfigError(
                f"trials-at-once is {wanted}, but the cluster has room for {fitting}: more would wait for each other for ever"
            )
        yield wanted or fitting


def run_trials(jobs: Sequence[Job], plan: Sweep, logs: Folder, at_once: int, title: str) -> dict[str, str]:
    """Run every job that is not finished; returns why the others are not, by name.

    A trial that ended because its machine vanished is tried again, and goes on from its folder. With
    `plan.stop_early`, finished trials are told to ASHA again, so that those of a second call are compared
    with all of the first.
    """
    errors: dict[str, AtalError] = {}
    for attempt in range(TRIES):
        pending = [
            job for job in jobs if not job.is_finished and not isinstance(errors.get(job.name), PERMANENT)
        ]
        told = [job for job in jobs if plan.stop_early and job.is_finished]
        if not pending or (attempt and not errors):
            break
        errors |= _fit([*told, *pending], plan, logs, at_once, title)
    return {job.name: str(errors[job.name]) for job in jobs if job.name in errors and not job.is_finished}


def _fit(jobs: Sequence[Job], plan: Sweep, logs: Folder, at_once: int, title: str) -> dict[str, AtalError]:
    """One run of Ray Tune; returns the errors by the name of the job."""
    os.environ |= {
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
    }  # we show progress, and Ctrl-C is to stop all
    logging.getLogger("ray.tune").setLevel(
        logging.CRITICAL
    )  # why a trial failed is said at the end, in a sentence
    watcher = Watcher(jobs, title, signal.getsignal(signal.SIGUSR1))
    system, path = logs.open()
    tuner = tune.Tuner(
        tune.with_resources(partial(run_trial, jobs=watcher.jobs, plan=plan), _place_of_trials(jobs)),
        param_space={"job": tune.grid_search([{"trial": job.name, **job.fields} for job in jobs])},
        tune_config=tune.TuneConfig(
            scheduler=_asha(jobs, plan) if plan.stop_early else None,
            max_concurrent_trials=at_once,
            reuse_actors=False,  # a stopped trial still holds its folder's lock
            trial_name_creator=name_of,
            trial_dirname_creator=name_of,
        ),
        run_config=tune.RunConfig(
            name=f"{title}-{datetime.now():%Y-%m-%d-%H-%M-%S}",
            storage_path=path,
            storage_filesystem=None if logs.is_local else system,
            verbose=0,
            callbacks=[watcher],
        ),
    )
    tuner.fit()
    return {name: _error_of(trial, name) for name, trial in watcher.failed.items()}


def _error_of(trial: Any, name: str) -> AtalError:
    """Why a trial failed; Tune has the exception, or the text that it left, or nothing where its machine
    vanished.
    """
    found = trial.get_error() or CampaignError("its machine vanished")
    return plain_error(found if isinstance(found, BaseException) else RuntimeError(found), f"trial {name}")


def _place_of_trials(jobs: Sequence[Job]) -> tune.PlacementGroupFactory:
    """What a trial's own process takes, and where: not on a spot machine that may vanish, where there are
    others.
    """
    labels = dict(jobs[0].config.resources.loading_nodes)
    return tune.PlacementGroupFactory([TRIAL], **({"bundle_label_selector": [labels]} if labels else {}))


def name_of(trial: Any) -> str:
    """The name of the job that a trial of Ray Tune runs."""
    return str(trial.config["job"]["trial"])


def _asha(jobs: Sequence[Job], plan: Sweep) -> AsyncHyperBandScheduler:
    most = max(job.config.budget.total for job in jobs)
    return AsyncHyperBandScheduler(
        time_attr="points",
        metric="score",
        mode="max" if plan.higher_is_better else "min",
        max_t=most,
        grace_period=plan.grace,
        reduction_factor=plan.keep_one_in,
    )


def run_trial(point: Mapping[str, Any], jobs: Mapping[str, Job], plan: Sweep) -> None:
    """One trial: a whole campaign, which tells Ray Tune its score after every round."""
    job = jobs[point["job"]["trial"]]
    campaign, config = job.campaign, job.config
    if job.is_finished:
        for number in range(job.committed):
            _tell(campaign, number, config, plan)
        return
    if job.source is not None:
        share_first_round(job.source, campaign, config)
    run_campaign(config, campaign.root.uri, lambda campaign, number: _tell(campaign, number, config, plan))


def _tell(campaign: CampaignFolder, number: int, config: Config, plan: Sweep) -> None:
    score = campaign.round(number).read_json(METRICS)[plan.judge][plan.member][plan.metric]
    report = {"score": score, "round": number}
    if (
        number + 1 < config.rounds
    ):  # without points ASHA lets it pass: a last round that is cut would miss its report.html
        report["points"] = config.budget.start + number * config.budget.per_round
    tune.report(report)


class Watcher(tune.Callback):  # type: ignore[misc]
    """Shows the rounds of all trials as one bar, and notes which trials were stopped."""

    def __init__(self, jobs: Sequence[Job], title: str, handler: Any) -> None:
        self.jobs, self.title, self.handler = {job.name: job for job in jobs}, title, handler
        self.failed: dict[str, Any] = {}
        self.seen: set[tuple[str, int]] = set()
        self.bar: Any = None

    def setup(self, *_: Any, **__: Any) -> None:
        """The run starts; Tune has just taken the signal by which a lost lease is told."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self.handler)
        total = sum(job.committed if job.is_stopped else job.config.rounds for job in self.jobs.values())
        self.bar = progress_bar(total, self.title, "round")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """A round of a trial is done; Tune tells the last one twice."""
        name, number = name_of(trial), int(result["round"])
        if self.bar is not None and (name, number) not in self.seen:
            self.seen.add((name, number))
            self.bar.set_postfix_str(f"{name} round {number}: {result['score']:.4f}", refresh=False)
            self.bar.update(1)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial ended, by itself or because it was poor."""
        job, last = self.jobs[name_of(trial)], trial.last_result
        if int(last["round"]) + 1 < job.config.rounds and not job.is_finished:
            job.campaign.root.write_json(
                STOPPED, {"round": last["round"], "points": last["points"], "score": last["score"]}
            )

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial failed, or its machine vanished."""
        self.failed[name_of(trial)] = trial  # Tune knows the reason a little later

    def on_experiment_end(self, trials: list[Any], **_: Any) -> None:
        """The run is over."""
        if self.bar is not None:
            self.bar.close()
