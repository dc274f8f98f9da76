"""What a trial of a sweep reports after each round, and which trials ASHA stops by it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import tiny_config

from atal_ray.campaign.campaign_folder import MEMBERS, METRICS, QUERIES, CampaignFolder
from atal_ray.config import BudgetConfig
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.report.page import REPORT
from atal_ray.runtime.ray_tune import as_result, scheduler
from atal_ray.runtime.trials import TrialReport
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.trial_jobs import STOPPED, TrialJob, asha_of, round_report, run_job

CAMPAIGN = tiny_config(
    Path("/data/train"), (Path("/data/test"),), budget=BudgetConfig(start=2, per_round=2, total=6)
)
METRICS_OF_A_PLAN = ("max_f", "mae", "s_measure")
PLAN = Sweep(over=("seed=0,1",), stop_early=True, grace=2, keep_one_in=2, campaign=CAMPAIGN)


def measured(noise: int) -> dict[str, Any]:
    """Metrics of an image: worse with more noise, and for the last snapshot worse than for the ensemble."""
    mask = np.eye(16, dtype=bool)
    random = np.random.default_rng(0).integers(0, noise + 1, mask.shape)
    found = {}
    for member, more in zip(MEMBERS, (0, 20), strict=True):
        sums = Accumulator()
        sums.add(np.where(mask, 255 - random - more, random + more).astype(np.uint8), mask, "one")
        found[member] = sums.summary().to_json()
    return found


def job(folder: Path, noises: list[int], *, report: bool = False) -> TrialJob:
    """A campaign with a committed round for each noise, as its stages would have left it."""
    campaign = CampaignFolder(Folder(str(folder)))
    for number, noise in enumerate(noises):
        campaign.round(number).write_json(METRICS, {"test": measured(noise)})
        campaign.round(number).write_bytes(QUERIES, b"")
        campaign.commit(number)
    if report:
        campaign.root.write_bytes(REPORT, b"")
    return TrialJob(folder.name, CAMPAIGN, campaign, {})


def reports_of(job: TrialJob, plan: Sweep) -> list[TrialReport]:
    found: list[TrialReport] = []
    run_job(job.name, found.append, {job.name: job}, plan)
    return found


def test_a_finished_campaign_reports_its_rounds_again(tmp_path: Path) -> None:
    one = job(tmp_path / "one", [90, 60, 30], report=True)
    assert one.is_finished
    wanted = [measured(noise)["ensemble"]["max_f"] for noise in (90, 60, 30)]
    assert reports_of(one, PLAN) == [
        TrialReport(0, wanted[0], 2),
        TrialReport(1, wanted[1], 4),
        TrialReport(2, wanted[2]),  # the last one goes without points: ASHA must let it pass
    ]


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("metric", METRICS_OF_A_PLAN)
def test_the_score_is_the_plan_s(tmp_path: Path, metric: str, member: str) -> None:
    one = job(tmp_path / "one", [90])
    plan = dataclasses.replace(PLAN, metric=metric, member=member)
    assert round_report(one.campaign, 0, CAMPAIGN, plan).score == measured(90)[member][metric]


@pytest.mark.parametrize("metric", METRICS_OF_A_PLAN)
def test_asha_stops_the_campaign_with_the_worse_maps_by_every_metric(tmp_path: Path, metric: str) -> None:
    plan = dataclasses.replace(PLAN, metric=metric)
    good, poor = job(tmp_path / "good", [10]), job(tmp_path / "poor", [250])
    rule = scheduler(asha_of([good, poor], plan))
    for name in ("good", "poor"):
        rule.on_trial_add(None, FakeTrial(name))
    stopped = {
        one.name: rule.on_trial_result(
            None, FakeTrial(one.name), as_result(round_report(one.campaign, 0, CAMPAIGN, plan))
        )
        == rule.STOP
        for one in (good, poor)
    }
    assert stopped == {"good": False, "poor": True}


@dataclasses.dataclass(frozen=True)
class FakeTrial:
    """All that Tune's scheduler asks of a trial."""

    trial_id: str


def test_a_stopped_campaign_is_finished(tmp_path: Path) -> None:
    one = job(tmp_path / "one", [90])
    assert not one.is_finished
    one.campaign.root.write_json(STOPPED, {"round": 0, "points": 2, "score": 0.2})
    assert one.is_finished
    assert one.is_stopped
    assert [report.step for report in reports_of(one, PLAN)] == [0]
