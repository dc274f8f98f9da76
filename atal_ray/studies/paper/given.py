"""What is trained on the points of a unit: another network on the points themselves, or its finish.

FOLDER/points/NAME-CLICKS.parquet   the points of a unit up to so many clicks an image
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from atal_ray.campaign.campaign_folder import METRICS, CampaignFolder
from atal_ray.campaign.finish.finish import finish
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.runtime.trials import TrialReport, trials_session
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.arm import Source
from atal_ray.studies.paper.units import UNITS, Unit, name_of_unit, placed
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import LOGS
from atal_ray.studies.sweep.trial_jobs import TrialJob, run_jobs

POINTS_OF_UNITS = "points"


@dataclass(frozen=True, kw_only=True)
class FinishJob(TrialJob):
    """The finish of a unit, in a folder of its own."""

    labelled: CampaignFolder
    """The campaign that is finished."""
    rounds: int
    """How many of its rounds count."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.diverged) or bool(self.committed)

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

    def plan(self) -> Finish:
        """The finish by the recipe that full masks are trained by."""
        config = self.config
        return replace(
            Finish.like(self.labelled.root.uri),
            rounds=self.rounds,
            seed=config.seed,
            network=replace(config.network, dropout=0.0),
            train=config.train,
            resources=config.resources,
            image_scores=True,
        )


def run_given(root: Folder, units: Mapping[str, Unit], ways: Sweep) -> dict[str, str]:
    """Run the units that are given points by those that are done; why some are not, by name.

    Args:
        root: folder of the studies.
        units: all that are needed.
        ways: how many run at once.
    """
    failures: dict[str, str] = {}
    jobs: list[TrialJob] = []
    for name, unit in units.items():
        if unit.source is None:
            continue
        chosen = CampaignFolder(root / UNITS / name_of_unit(unit.source.config))
        if chosen.round(unit.source.config.rounds - 1).exists(METRICS):
            jobs.append(_job(root, unit, unit.source, chosen))
        else:
            failures[name] = f"{chosen.root.name}, whose points it is given, is not finished"
    if not jobs:
        return failures
    with trials_session([job.config for job in jobs], ways.trials_at_once) as at_once:
        return failures | run_jobs(jobs, ways, root / LOGS, at_once, "trainings on given points")


def _job(root: Folder, unit: Unit, source: Source, chosen: CampaignFolder) -> TrialJob:
    """How a unit is run."""
    config, rounds = placed(root, unit.config), source.config.rounds
    own = CampaignFolder(root / UNITS / unit.name), {"unit": unit.name}
    if source.finished:
        return FinishJob(unit.name, config, *own, labelled=chosen, rounds=rounds)
    place, file = root / POINTS_OF_UNITS, f"{chosen.root.name}-{source.config.budget.total}.parquet"
    if not place.exists(file):
        place.write_table(file, chosen.points(rounds - 1))
    return TrialJob(unit.name, replace(config, data=replace(config.data, points=place.where(file))), *own)
