"""The campaigns that the trials of a sweep run, and how they are run: what is finished stays, what failed is
tried again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from atal_ray.campaign.campaign_folder import METRICS, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config
from atal_ray.errors import AtalError, CheckpointError, ConfigError, DataError, DivergedError
from atal_ray.report.page import REPORT
from atal_ray.runtime.progress_bar import progress_bar
from atal_ray.runtime.trials import Asha, TrialReport, TrialSet, run_trials
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sharing import share_first_round

logger = logging.getLogger(__name__)

STOPPED, DIVERGED = "stopped.json", "diverged.json"
TRIES = 3
"""Of a trial on a cluster, whose machines may vanish."""
PERMANENT = (ConfigError, DataError, CheckpointError, DivergedError)  # no use in trying again


@dataclass(frozen=True)
class TrialJob:
    """One campaign that a trial runs."""

    name: str
    config: Config
    campaign: CampaignFolder
    fields: Mapping[str, Any]
    """What distinguishes it."""
    source: CampaignFolder | None = None
    """The campaign whose round 0 it shares."""

    @property
    def is_stopped(self) -> bool:
        """Whether an earlier call stopped it as poor."""
        return self.campaign.root.exists(STOPPED)

    @property
    def diverged(self) -> str:
        """Where its training left the finite numbers; empty where it did not. It would again."""
        root = self.campaign.root
        return str(root.read_json(DIVERGED)["reason"]) if root.exists(DIVERGED) else ""

    def note_divergence(self, reason: str) -> None:
        """Leave word that its training diverged, which is a result."""
        self.campaign.root.write_json(DIVERGED, {"reason": reason})

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return (
            self.is_stopped
            or bool(self.diverged)
            or (self.campaign.root.exists(REPORT) and self.campaign.is_complete(self.config))
        )

    @property
    def committed(self) -> int:
        """Rounds that are done."""
        return self.campaign.committed_rounds()

    def run(self, report: Callable[[TrialReport], None], plan: Sweep) -> None:
        """Run the whole campaign, and report its score after every round."""

        def on_round(campaign: CampaignFolder, number: int) -> None:
            report(round_report(campaign, number, self.config, plan))

        if self.is_finished:
            for number in range(self.committed):
                on_round(self.campaign, number)
            return
        if self.source is not None:
            share_first_round(self.source, self.campaign, self.config)
        run_campaign(self.config, self.campaign.root.uri, on_round)


def run_jobs(jobs: Sequence[TrialJob], plan: Sweep, logs: Folder, at_once: int, title: str) -> dict[str, str]:
    """Run every job that is not finished; returns why the others are not, by name.

    A training that diverges is a result, which is kept in the folder of the trial: the others go on. A trial
    that ended because its machine vanished is tried again, and goes on from its folder. With
    `plan.stop_early`, finished trials report to ASHA again, so that those of a second call are compared with
    all of the first.
    """
    backend = plan.campaign.resources.backend
    errors: dict[str, AtalError] = {}
    for attempt in range(1 if backend == "inline" else TRIES):
        pending = [
            job for job in jobs if not job.is_finished and not isinstance(errors.get(job.name), PERMANENT)
        ]
        if not pending or (attempt and not errors):
            break
        again = [job for job in jobs if plan.stop_early and job.is_finished and job.committed]
        errors |= _run([*again, *pending], plan, logs, at_once, title)
        for job in pending:
            if isinstance(found := errors.get(job.name), DivergedError):
                job.note_divergence(str(found))
                logger.warning("%s: %s", job.name, found)
    return {job.name: str(errors[job.name]) for job in jobs if job.name in errors and not job.is_finished}


def _run(
    jobs: Sequence[TrialJob], plan: Sweep, logs: Folder, at_once: int, title: str
) -> dict[str, AtalError]:
    """Run jobs together, with one bar of all their rounds; returns why some failed, by name."""
    by_name = {job.name: job for job in jobs}
    where = jobs[0].config.resources
    trials = TrialSet(
        partial(run_job, jobs=by_name, plan=plan),
        {job.name: job.fields for job in jobs},
        logs,
        title,
        at_once,
        asha_of(jobs, plan) if plan.stop_early else None,
        where.loading_nodes,
    )
    total = sum(job.committed if job.is_finished else job.config.rounds for job in jobs)
    with progress_bar(total, title, "round") as bar:
        return run_trials(trials, _RoundObserver(by_name, bar), where.backend)


def asha_of(jobs: Sequence[TrialJob], plan: Sweep) -> Asha:
    """ASHA by the plan's metric, over the points an image."""
    most = max(job.config.budget.total for job in jobs)
    return Asha(plan.higher_is_better, plan.grace, most, plan.keep_one_in)


def run_job(
    name: str, report: Callable[[TrialReport], None], jobs: Mapping[str, TrialJob], plan: Sweep
) -> None:
    """Run the trial of that name."""
    jobs[name].run(report, plan)


def round_report(campaign: CampaignFolder, number: int, config: Config, plan: Sweep) -> TrialReport:
    """The score of a committed round, and the points an image that it took.

    The last round goes without points, so that ASHA lets it pass: a campaign that is stopped there would miss
    its report.
    """
    score = campaign.round(number).read_json(METRICS)[plan.judge][plan.member][plan.metric]
    points = config.budget.points_at(number)
    return TrialReport(number, score, points if number + 1 < config.rounds else None)


class _RoundObserver:
    """Shows the rounds of all trials as one bar, and writes which trials were stopped."""

    def __init__(self, jobs: Mapping[str, TrialJob], bar: Any) -> None:
        self.jobs, self.bar = jobs, bar

    def on_report(self, name: str, report: TrialReport) -> None:
        """A round of a trial is done."""
        self.bar.set_postfix_str(f"{name} round {report.step}: {report.score:.4f}", refresh=False)
        self.bar.update(1)

    def on_end(self, name: str, last: TrialReport) -> None:
        """A trial ended: before its last round, because it was poor."""
        job = self.jobs[name]
        if last.step + 1 < job.config.rounds and not job.is_finished:
            job.campaign.root.write_json(
                STOPPED, {"round": last.step, "points": last.resource, "score": last.score}
            )
