"""`atal study`: tables and figures of the paper as campaigns that share all they can, and one page that reads
them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.life import run_in
from atal_ray.config import Config, config_file
from atal_ray.config.bounds import Count
from atal_ray.config.section import Section, require
from atal_ray.errors import CampaignError, counted, meant
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.arm import Arm
from atal_ray.studies.paper.catalogue import STUDIES
from atal_ray.studies.paper.given import GivenJob, given_jobs, run_given
from atal_ray.studies.paper.reading import Reading
from atal_ray.studies.paper.results import results_of
from atal_ray.studies.paper.rivals import Rivals, absolute
from atal_ray.studies.paper.scales import Scale, base_of
from atal_ray.studies.paper.study_page import write_page
from atal_ray.studies.paper.study_tables import write_tables
from atal_ray.studies.paper.units import UNITS, jobs_of, passes_of, require_same_files, unit_of, units_of
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import LOGS, run_all
from atal_ray.studies.sweep.trial_jobs import TrialJob

STUDY_PLAN, ALL = "study.yaml", "all"


@dataclass(frozen=True, kw_only=True)
class Studies(Section):
    """Which tables and figures are made, how large, and the campaign that their arms differ from."""

    may_change: ClassVar[tuple[str, ...]] = ("studies", "methods", "maps", "seeds", "trials_at_once")

    studies: tuple[str, ...] = ()
    """Names of `atal study list`."""
    scale: Scale = "tiny"
    """Minutes on two cores, a night or more on two cores, or the paper's size; see docs/studies.md."""
    seeds: Count = 3
    """Campaigns of each arm, from the campaign's seed on."""
    methods: tuple[str, ...] = ()
    """More methods for fig7, by name or as module:Class."""
    maps: tuple[str, ...] = ()
    """Saliency maps of other networks for table2 and fig6: folders, as of `atal evaluate`; NAME=FOLDER."""
    trials_at_once: Count | None = None
    """Campaigns that run at the same time; unset: as many as the cluster has room for."""
    campaign: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=lambda: base_of("tiny"))
    """ATAL at this scale."""

    @classmethod
    def of(cls, name: str, scale: str) -> "Studies":
        """The studies of a name, `all` for each of them, at a scale.

        Raises:
            ConfigError: there is no such study or scale.
        """
        known = ", ".join([*STUDIES, ALL])
        require(
            name in (*STUDIES, ALL),
            f"{name!r} is no study ({known}){meant(name, [*STUDIES, ALL])}",
        )
        chosen: Scale = "tiny" if scale == "tiny" else "small" if scale == "small" else "paper"
        require(scale == chosen, f"scale is {scale!r}: use tiny, small or paper")
        return cls(studies=tuple(STUDIES) if name == ALL else (name,), scale=chosen, campaign=base_of(chosen))

    def check_relations(self) -> None:
        """Raise ConfigError for a study that there is not."""
        unknown = [name for name in self.studies if name not in STUDIES]
        require(not unknown, f"studies holds {', '.join(unknown)}: use {', '.join(STUDIES)}")

    def check(self) -> None:
        """Raise ConfigError for a campaign that cannot be studied."""
        base = self.campaign
        require(base.asks, "a study asks for points: leave data.points unset and regions.labels not dense")
        require(
            base.budget.annotator == "oracle", "a study is answered from masks: use budget.annotator oracle"
        )
        require(
            not base.budget.earlier,
            "a study asks as many points in each round after the first: leave budget.earlier unset",
        )
        require(
            bool(base.data.tests) or not base.data.train,
            "data.tests is empty: a study needs at least one test set",
        )
        require(
            "table3" not in self.studies or not base.train.warm_start,
            "train.warm-start makes a campaign's last round unlike the other trainings of table3: "
            "leave it unset",
        )

    def arms(self) -> dict[str, list[Arm]]:
        """The arms of each study."""
        return {name: STUDIES[name].arms(self.campaign, self.methods) for name in self.studies}

    @property
    def seed_numbers(self) -> range:
        """The seeds of each arm."""
        return range(self.campaign.seed, self.campaign.seed + self.seeds)


def run_studies(plan: Studies, folder: Path | str) -> Folder:
    """Run every campaign that the studies need and is not finished, and write study.html, and for each study
    NAME.json, NAME.md and NAME.tex.

    Args:
        plan: may name other studies than before, which use the campaigns that are there.
        folder: a local folder, one that every machine sees, or the URI of one on an object store.

    Raises:
        ConfigError, DataError, CheckpointError: what is wrong with the plan, the images or the weights.
        CampaignError: campaigns failed (named; the others are finished, and on the page).
    """
    plan, root = _whole(plan), Folder.at(folder)
    arms, rivals = plan.arms(), Rivals(plan.maps, plan.campaign, root)
    rivals.check([arm.name for mine in arms.values() for arm in mine])
    units = units_of([arm for found in arms.values() for arm in found], plan.seed_numbers)
    todo, given = jobs_of(root, units), given_jobs(root, units)
    require_same_files((job.campaign, job.config) for job in [*todo, *given])
    started = any(job.campaign.root.names() for job in todo)
    with run_in(root, plan, STUDY_PLAN, started=started) as run:
        ways = Sweep(campaign=plan.campaign, trials_at_once=plan.trials_at_once)
        failures = run_all(todo, ways, root / LOGS, run.lock, "campaigns")
        run.lock.check()
        failures |= run_given(root, given, ways)
        notices = notices_of([*todo, *given], failures)
        run.finish(lambda: _report(plan, root, arms, notices, rivals))
    if failures:
        listed = "\n  ".join(f"{name}: {sentence}" for name, sentence in failures.items())
        raise CampaignError(
            f"{len(failures)} of {counted(len(units), 'campaign')} failed, which the page says; the same "
            f"command tries them again:\n  {listed}"
        )
    return root


def report_studies(plan: Studies, folder: Path | str) -> Folder:
    """Write study.html and the tables of what is there, and run nothing: claims about what is missing are not
    finished.

    Args:
        plan: as for `run_studies`.
        folder: of studies that were begun.
    """
    plan, root = _whole(plan), Folder.at(folder)
    arms, rivals = plan.arms(), Rivals(plan.maps, plan.campaign, root)
    units = units_of([arm for found in arms.values() for arm in found], plan.seed_numbers)
    notices = notices_of([*jobs_of(root, units), *given_jobs(root, units)], {})
    with run_in(root, plan, STUDY_PLAN, started=True) as run:
        run.finish(lambda: _report(plan, root, arms, notices, rivals))
    return root


def _whole(plan: Studies) -> Studies:
    """The plan with all paths absolute; ConfigError for what cannot be studied."""
    plan = replace(plan, campaign=config_file.absolute(plan.campaign), maps=absolute(plan.maps))
    plan.check()
    return plan


def _report(
    plan: Studies, root: Folder, arms: Mapping[str, list[Arm]], notices: Sequence[str], rivals: Rivals
) -> None:
    """Write the tables of each study, and the page, which is written last."""
    first = CampaignFolder(root / UNITS / unit_of(next(iter(arms.values()))[0], plan.campaign.seed).name)
    facts = facts_of(root, plan, work_of(plan, arms))
    sets, missing = list(first.test_folders(plan.campaign)), rivals.score(first)
    results = []
    for name, mine in arms.items():
        reading = Reading(root, mine, list(plan.seed_numbers), sets)
        results.append(results_of(name, STUDIES[name], reading, plan.campaign, rivals))
        write_tables(root, results[-1], facts)
    write_page(root, plan, results, [*notices, *missing], facts)


def notices_of(jobs: Iterable[TrialJob], failures: Mapping[str, str]) -> list[str]:
    """What has failed, what diverged, and what waits for the points of either."""
    found = [f"{name} failed: {reason}" for name, reason in failures.items()]
    for job in jobs:
        if job.diverged:
            found.append(f"{job.name} diverged: {job.diverged}")
        elif isinstance(job, GivenJob) and not job.is_ready:
            found.append(f"{job.name} waits for the points of {job.chooser.root.name}, which is not finished")
    return found


def facts_of(root: Folder, plan: Studies, work: Mapping[str, int]) -> dict[str, str]:
    """What everything was made with: scale, data, network, seeds, metrics, passes over each image."""
    base = plan.campaign
    share = f", {work['together'] / work['apart']:.0%} of the studies apart" if work["apart"] else ""
    return {
        "Folder": root.uri,
        "Scale": plan.scale,
        "Data": base.data.train or "embedded images",
        "Images": str(base.data.limit or "all"),
        "Network": f"{base.network.name} at {base.train.size} px, {base.train.epochs} epochs a round, "
        f"L = {base.train.cycles}",
        "Seeds": f"{plan.seeds}, from {base.seed} on",
        "Metrics": "classic maxF (beta^2 = 0.3), S-measure, MAE of the mean map of the snapshots",
        "Training passes over each image": f"{work['together']:,}{share}",
        "Written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Versions": ", ".join(f"{name} {version(name)}" for name in ("atal-ray", "torch", "ray")),
    }


def work_of(plan: Studies, arms: Mapping[str, list[Arm]]) -> dict[str, int]:
    """Passes over each training image that all studies take together, and that each would take alone."""
    together = units_of([arm for found in arms.values() for arm in found], plan.seed_numbers)
    apart = {name: passes_of(units_of(found, plan.seed_numbers)) for name, found in arms.items()}
    return {"together": passes_of(together), "apart": sum(apart.values()), **apart}


def listed() -> str:
    """The studies and what they are, for the terminal."""
    return "\n".join(f"{name:12} {study.title}" for name, study in STUDIES.items())
