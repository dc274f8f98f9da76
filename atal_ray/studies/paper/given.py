"""What is trained on the points of a unit: another network on the points themselves, or its finish.

FOLDER/points/NAME-CLICKS.parquet   the points of a unit up to so many clicks an image
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from atal_ray.campaign.campaign_folder import METRICS, POINTS, CampaignFolder
from atal_ray.campaign.finish.finish import finish
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.campaign.finish.judged import JUDGED
from atal_ray.config import Config
from atal_ray.runtime.trials import TrialReport, trials_session
from atal_ray.store import uri as stores
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.units import UNITS, Unit, name_of_unit, placed
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import LOGS
from atal_ray.studies.sweep.trial_jobs import TrialJob, run_jobs

POINTS_OF_UNITS = "points"


@dataclass(frozen=True, kw_only=True)
class GivenJob(TrialJob):
    """The training of a unit on the points of another."""

    chooser: CampaignFolder
    """The campaign that chooses the points."""
    rounds: int
    """How many of its rounds count."""

    @property
    def is_ready(self) -> bool:
        """Whether the points are there, with the snapshots of the last round that counts."""
        return self.chooser.round(self.rounds - 1).exists(METRICS)

    def run(self, report: Callable[[TrialReport], None], plan: Sweep) -> None:
        """Train on the points, which are written first, and report the score."""
        assert self.config.data.points is not None
        folder, name = stores.split(self.config.data.points)
        if not self.campaign.round(0).exists(POINTS):
            Folder(folder).write_table(name, self.chooser.points(self.rounds - 1))
        super().run(report, plan)


@dataclass(frozen=True, kw_only=True)
class FinishJob(GivenJob):
    """The finish of a unit, in a folder of its own."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do: the network is judged on all test sets, and no part lies about."""
        root = self.campaign.root
        if self.diverged or not root.exists(METRICS):
            return bool(self.diverged)
        sets = self.chooser.test_folders(self.config).keys()
        judged = sets <= root.read_json(METRICS)["network"].keys()
        return judged and not any((root / name).names() for name in ("pass-1", JUDGED))

    @property
    def committed(self) -> int:
        """One, when the network is trained and judged."""
        return int(self.campaign.root.exists(METRICS))

    def run(self, report: Callable[[TrialReport], None], plan: Sweep) -> None:
        """Finish the campaign, and report the score of its network."""
        if not self.is_finished:
            finish(self.plan(), self.campaign.root.uri)
        score = self.campaign.root.read_json(METRICS)["network"][plan.judge][plan.metric]
        report(TrialReport(0, score))

    @property
    def is_ready(self) -> bool:
        """Whether the round whose snapshots teach is done."""
        return self.chooser.is_committed(self.rounds - 1)

    def plan(self) -> Finish:
        """The finish by the recipe that full masks are trained by."""
        config = self.config
        return replace(
            Finish.like(self.chooser.root.uri),
            rounds=self.rounds,
            tests=tuple(folder.uri for folder in self.chooser.test_folders(config).values()),
            on_bad_file=config.data.on_bad_file,
            seed=config.seed,
            network=replace(config.network, dropout=0.0),
            train=config.train,
            resources=config.resources,
            image_scores=True,
        )


def given_jobs(root: Folder, units: Mapping[str, Unit]) -> list[GivenJob]:
    """How the units are run that are given points.

    Args:
        root: folder of the studies.
        units: all that are needed.
    """
    return [_job(root, unit, placed(root, unit.config)) for unit in units.values() if unit.source]


def _job(root: Folder, unit: Unit, config: Config) -> GivenJob:
    assert unit.source is not None
    chosen = unit.source.config
    chooser = CampaignFolder(root / UNITS / name_of_unit(chosen))
    made: type[GivenJob] = FinishJob if unit.source.finished else GivenJob
    if not unit.source.finished:
        table = (root / POINTS_OF_UNITS).where(f"{chooser.root.name}-{chosen.budget.total}.parquet")
        config = replace(config, data=replace(config.data, points=table))
    own = CampaignFolder(root / UNITS / unit.name)
    return made(unit.name, config, own, {"unit": unit.name}, chooser=chooser, rounds=chosen.rounds)


def run_given(root: Folder, jobs: Sequence[GivenJob], ways: Sweep) -> dict[str, str]:
    """Run those whose points are there; why some have failed, by name.

    Args:
        root: folder of the studies.
        jobs: from `given_jobs`.
        ways: how many run at once.
    """
    todo = [job for job in jobs if job.is_ready and not job.is_finished]
    if not todo:
        return {}
    with trials_session([job.config for job in todo], ways.trials_at_once) as at_once:
        return run_jobs(todo, ways, root / LOGS, at_once, "trainings on given points")
