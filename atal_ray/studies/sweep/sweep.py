"""A sweep: one campaign for each combination of fields, many at once, each thing that campaigns share made
only once.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from atal_ray.campaign.campaign_folder import MANIFEST, QUERIES, START, CampaignFolder
from atal_ray.campaign.life import run_in
from atal_ray.campaign.prepare import prepare, require_network
from atal_ray.campaign.query.ask import query
from atal_ray.config import Config, config_file
from atal_ray.errors import CampaignError, counted
from atal_ray.runtime.trials import trials_session
from atal_ray.store.folder import Folder
from atal_ray.store.lease import Held
from atal_ray.studies.sweep.plan import Sweep, Trial
from atal_ray.studies.sweep.result import count_work, read_outcome
from atal_ray.studies.sweep.sharing import share_start, start_key, until_first_query
from atal_ray.studies.sweep.sweep_page import TRIALS, write_sweep_report
from atal_ray.studies.sweep.trial_jobs import TrialJob, run_jobs

logger = logging.getLogger(__name__)

SWEEP_PLAN, SHARED, LOGS = "sweep.yaml", "shared", "tune"


@dataclass(frozen=True)
class Jobs:
    """The campaigns of a sweep."""

    shared: list[TrialJob]
    """Campaigns of one round, whose training and evaluation several trials go on from."""
    trials: list[TrialJob]

    def __iter__(self) -> Iterator[TrialJob]:
        return iter([*self.shared, *self.trials])


def jobs(plan: Sweep, root: Folder) -> Jobs:
    """The trials, and for all that agree until the first query one campaign up to there.

    Trials that differ in K alone share a training; those that differ in L do not, but start from the same
    points.
    """
    superpixels = plan.campaign.resources.superpixels or (root / "superpixels").uri
    shared: list[TrialJob] = []
    made: list[TrialJob] = []
    first: dict[str, TrialJob] = {}
    trials = plan.trials()
    keys = [config_file.to_yaml(until_first_query(trial.config)) for trial in trials]
    for trial, key in zip(trials, keys, strict=True):
        config = replace(trial.config, resources=replace(trial.config.resources, superpixels=superpixels))
        if keys.count(key) > 1 and key not in first:
            name = f"{len(shared):02d}"
            first[key] = TrialJob(
                name,
                until_first_query(config),
                CampaignFolder(root / SHARED / name),
                {"first_of": trial.name},
            )
            shared.append(first[key])
        source = first[key].campaign if key in first else None
        made.append(
            TrialJob(trial.name, config, CampaignFolder(root / TRIALS / trial.name), trial.fields, source)
        )
    return Jobs(shared, made)


def sweep(plan: Sweep, folder: Path | str) -> Folder:
    """Run every trial that is not finished, and write sweep.html, sweep.json and best.yaml; go on with a
    sweep that was interrupted.

    Args:
        plan: must be the one that the folder was started with, but for what may change.
        folder: a local folder, one that every machine sees, or the URI of one on an object store.

    Raises:
        ConfigError, DataError, CheckpointError: what is wrong with the plan, the images or the weights.
        CampaignError: the folder was started with another plan, the cluster is too small for one trial, or
            trials failed (named; the others are finished, and in the report).
    """
    plan = replace(plan, campaign=config_file.absolute(plan.campaign))
    plan.check()
    root = Folder.at(folder)
    todo = jobs(plan, root)
    with run_in(root, plan, SWEEP_PLAN, started=lambda: _is_started(todo), admit=same_steps) as run:
        failures = run_all(todo, plan, root / LOGS, run.lock, "trials")
        run.finish(lambda: _report(root, plan, todo, failures))
    if failures:
        listed = "\n  ".join(f"{name}: {sentence}" for name, sentence in failures.items())
        raise CampaignError(
            f"{len(failures)} of {counted(len(todo.trials), 'trial')} failed; "
            f"the same command tries them again:\n  {listed}"
        )
    return root


def run_all(todo: Jobs, plan: Sweep, logs: Folder, lock: Held, title: str) -> dict[str, str]:
    """Run every job that is not finished, what several share before the rest; why others are not, by name.

    Args:
        todo: the campaigns.
        plan: how many run at once, and when poor ones are stopped.
        logs: where Ray Tune keeps its own files.
        lock: of the folder, which is still to be held when the shared part is done.
        title: what the campaigns are called.
    """
    _check_networks(todo)
    with trials_session([job.config for job in todo.trials], plan.trials_at_once) as at_once:
        _start(todo)
        logger.info(
            f"{title}: {len(todo.trials)}, {at_once} at once; shared first rounds: {len(todo.shared)}"
        )
        failures = run_jobs(
            todo.shared, replace(plan, stop_early=False), logs, at_once, "shared first rounds"
        )
        lock.check()
        _pass_on_divergence(todo)
        failures = _of_trials(todo, failures)
        able = [job for job in todo.trials if job.name not in failures]
        return failures | run_jobs(able, plan, logs, at_once, title)


def same_steps(before: Sweep, now: Sweep) -> None:
    """Refuse other points a round: trials that are done would not be those of the plan."""
    old, new = before.campaign.budget.per_round, now.campaign.budget.per_round
    if old != new:
        raise CampaignError(
            f"campaign.budget.per-round: {old} -> {new}: trials are compared, so this needs a new folder"
        )


def _is_started(todo: Jobs) -> bool:
    return any(job.campaign.root.exists(MANIFEST) for job in todo)


def _check_networks(todo: Jobs) -> None:
    """Check every network that is still to be trained, its weights and the method that asks it, each once:
    before Ray is started.
    """
    checked: list[Config] = []
    for job in todo:
        one = job.config
        known = any((one.network, one.train, one.query) == (of.network, of.train, of.query) for of in checked)
        if not known and not job.is_finished:
            require_network(one)
            checked.append(one)


def _start(todo: Jobs) -> None:
    """Make manifests and random starts: each once, then copied."""
    if all(job.campaign.root.exists(MANIFEST) and job.campaign.round(START).exists(QUERIES) for job in todo):
        return
    leaders: dict[str, TrialJob] = {}
    for job in sorted(
        todo, key=lambda job: not job.campaign.root.exists(MANIFEST)
    ):  # those that are there first
        leader = leaders.setdefault(repr(start_key(job.config)), job)
        if leader is job:
            prepare(job.campaign, job.config)
            if not job.campaign.round(START).exists(QUERIES):
                query(job.campaign, job.config, START)
        share_start(leader.campaign, job.campaign, job.config)


def _of_trials(todo: Jobs, failures: Mapping[str, str]) -> dict[str, str]:
    """Why trials cannot start: the training that they share has failed."""
    failed = {job.campaign: failures[job.name] for job in todo.shared if job.name in failures}
    return {
        job.name: failed[job.source] for job in todo.trials if job.source in failed and not job.is_finished
    }


def _pass_on_divergence(todo: Jobs) -> None:
    """Trials whose shared training diverged have diverged as well."""
    reasons = {job.campaign: job.diverged for job in todo.shared if job.diverged}
    for job in todo.trials:
        if job.source in reasons and not job.is_finished:
            job.note_divergence(reasons[job.source])


def _report(root: Folder, plan: Sweep, todo: Jobs, failures: Mapping[str, str]) -> None:
    trials = [
        read_outcome(
            plan,
            trial,
            job.campaign,
            stopped=job.is_stopped,
            diverged=job.diverged,
            shared_rounds=int(job.source is not None),
            reason=failures.get(trial.name, ""),
        )
        for trial, job in zip(plan.trials(), todo.trials, strict=True)
    ]
    shared = [read_outcome(plan, Trial(job.name, {}, job.config), job.campaign) for job in todo.shared]
    write_sweep_report(root, plan, trials, count_work(plan, trials, shared))
