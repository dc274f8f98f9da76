"""A sweep: what is trained once, what is reported, and that neither kills nor failures lose a trial."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from campaigns import all_points, on_ray, open_campaign, tiny_config

from atal_ray import cli
from atal_ray.campaign.campaign_folder import COMMITTED, MANIFEST, MEMBERS, METRICS, QUERIES, START
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, config_file
from atal_ray.data.manifest import MANIFEST_SCHEMA
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError
from atal_ray.metrics.accumulator import Accumulator, Metrics
from atal_ray.report.page import REPORT
from atal_ray.runtime.trials import STOPPED, Job
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep import sweep as sweeps
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import jobs, sweep

OVER = ("query.top-percent=3,10", "train.cycles=1,2", "budget.total=2,4")


@pytest.fixture
def plan() -> Sweep:
    return Sweep(over=OVER, campaign=tiny_config(Path("/data/train"), (Path("/data/test"),)))


def test_trials_that_agree_until_the_first_query_share_it(plan, tmp_path):
    found = jobs(plan, Folder(str(tmp_path)))
    assert [(job.config.train.cycles, job.config.rounds) for job in found.shared] == [(1, 1), (2, 1)]
    sources = [job.source and job.source.root.uri.removeprefix(f"{tmp_path}/") for job in found.trials]
    assert sources == ["shared/00", "shared/01", "shared/00", "shared/01"]
    assert {job.config.resources.superpixels for job in found} == {f"{tmp_path}/superpixels"}


def test_nothing_is_shared_where_nothing_is_alike(plan, tmp_path):
    found = jobs(dataclasses.replace(plan, over=("train.cycles=1,2",)), Folder(str(tmp_path)))
    assert found.shared == []
    assert [job.source for job in found.trials] == [None, None]


def fake_round(job: Job, number: int, max_f: float) -> None:
    """A committed round of a trial with that maxF."""
    metrics = {**metrics_of_one_image().to_json(), "max_f": max_f}
    job.campaign.round(number).write_json(METRICS, {"test": {member: metrics for member in MEMBERS}})
    job.campaign.commit(number)


def metrics_of_one_image() -> Metrics:
    found = Accumulator()
    found.add(np.full((4, 4), 200, np.uint8), np.eye(4, dtype=bool), "one")
    return found.summary()


@pytest.fixture
def faked(monkeypatch) -> list[str]:
    """Trials without Ray: every second one fails the first time; returns the names of those that ran."""
    ran: list[str] = []

    def run_trials(todo: list[Job], plan: Sweep, logs: Folder, at_once: int, title: str) -> dict[str, str]:
        failures = {}
        for place, job in enumerate(todo):
            if job.is_finished:
                continue
            if place % 2 and not any(job.name in name for name in ran) and title == "trials":
                failures[job.name] = "the machine is on fire"
            else:
                for number in range(job.config.rounds):
                    fake_round(job, number, 0.5 + 0.01 * number + 0.1 * place)
                job.campaign.root.write_bytes(REPORT, b"")
            ran.append(f"{title}: {job.name}")
        return failures

    def prepare(campaign, config) -> None:
        campaign.root.write_table(MANIFEST, MANIFEST_SCHEMA.empty_table())
        campaign.round(START).write_bytes(QUERIES, b"")

    monkeypatch.setattr(sweeps, "trials_session", lambda configs, wanted: contextlib.nullcontext(1))
    monkeypatch.setattr(sweeps, "run_trials", run_trials)
    monkeypatch.setattr(sweeps, "prepare", prepare)
    return ran


def test_failed_trials_are_named_and_tried_again_and_finished_ones_stay(faked, plan, tmp_path):
    with pytest.raises(
        CampaignError,
        match=r"2 of 4 trials failed; the same command tries them again:\n  top_percent-3_cycles-2: the mach",
    ):
        sweep(plan, tmp_path / "run")
    half = json.loads((tmp_path / "run/sweep.json").read_text())
    assert [(trial["state"], trial["reason"]) for trial in half["trials"]] == [
        ("finished", ""),
        ("failed", "the machine is on fire"),
    ] * 2
    assert "the machine is on fire" in (tmp_path / "run/sweep.html").read_text()
    assert half["best"] == {"trial": "top_percent-10_cycles-1", "points": 4, "score": 0.71}

    sweep(plan, tmp_path / "run")
    whole = json.loads((tmp_path / "run/sweep.json").read_text())
    assert {trial["state"] for trial in whole["trials"]} == {"finished"}
    assert len(faked) == 2 + 4 + 2
    assert whole["best"] == {"trial": "top_percent-10_cycles-2", "points": 4, "score": 0.81}
    best = config_file.load(tmp_path / "run/best.yaml")
    assert (best.query.top_percent, best.train.cycles, best.budget.total) == (10, 2, 4)
    assert best.resources == plan.campaign.resources
    assert whole["trials"][0]["metrics"]["2"]["test"]["last"]["max_f"] == 0.5


def test_trials_of_a_shared_round_that_failed_are_named_and_the_others_run(
    faked, plan, tmp_path, monkeypatch
):
    through = sweeps.run_trials

    def run_trials(todo: list[Job], plan: Sweep, logs: Folder, at_once: int, title: str) -> dict[str, str]:
        assert not (plan.stop_early and title != "trials"), "there is nothing to compare in a first round"
        return (
            {"01": "out of memory"}
            if title != "trials" and not faked
            else through(todo, plan, logs, at_once, title)
        )

    monkeypatch.setattr(sweeps, "run_trials", run_trials)
    eager = dataclasses.replace(plan, stop_early=True, grace=2)
    with pytest.raises(
        CampaignError, match=r"3 of 4 trials failed.*\n  top_percent-3_cycles-2: out of memory"
    ):
        sweep(eager, tmp_path / "run")
    states = [trial["state"] for trial in json.loads((tmp_path / "run/sweep.json").read_text())["trials"]]
    assert states == ["finished", "failed", "failed", "failed"]  # the third one by the fake
    assert faked == ["trials: top_percent-3_cycles-1", "trials: top_percent-10_cycles-1"]


def test_how_many_run_at_once_may_change(faked, plan, tmp_path):
    with pytest.raises(CampaignError, match="trials failed"):
        sweep(plan, tmp_path / "run")
    sweep(dataclasses.replace(plan, trials_at_once=3), tmp_path / "run")


def test_another_plan_is_refused_and_resume_needs_no_flags(faked, plan, tmp_path, monkeypatch):
    with pytest.raises(CampaignError, match="2 of 4 trials failed"):
        sweep(plan, tmp_path / "run")
    with pytest.raises(CampaignError, match="started with another configuration"):
        sweep(dataclasses.replace(plan, metric="mae"), tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["atal", "resume", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert len(faked) == 8


def test_a_stopped_trial_is_not_run_again(faked, plan, tmp_path):
    root = Folder(str(tmp_path / "run"))
    poor = jobs(plan, root).trials[0]
    fake_round(poor, 0, 0.2)
    poor.campaign.root.write_json(STOPPED, {"round": 0, "points": 2, "score": 0.2})
    with pytest.raises(CampaignError):
        sweep(plan, tmp_path / "run")
    first = json.loads((tmp_path / "run/sweep.json").read_text())["trials"][0]
    assert (first["state"], list(first["metrics"])) == ("stopped", ["2"])
    assert not any(poor.name in name for name in faked)


@pytest.fixture
def data(tmp_path: Path) -> Config:
    train, test = (
        write_dataset(tmp_path / "train", count=5),
        write_dataset(tmp_path / "test", count=3, seed=1),
    )
    return on_ray(tiny_config(train, (test,)))


def start(plan: Sweep, config: Path, folder: Path) -> subprocess.Popen[bytes]:
    config.write_text(config_file.to_yaml(plan.campaign))
    command = [
        sys.executable,
        str(Path(__file__).parents[3] / "jobs/sweep.py"),
        str(config),
        str(folder),
        "--over",
        *plan.over,
    ]
    command += (
        [
            "--stop-early",
            "--grace",
            str(plan.grace),
            "--keep-one-in",
            str(plan.keep_one_in),
            "--metric",
            plan.metric,
        ]
        if plan.stop_early
        else []
    )
    return subprocess.Popen(command, env={**os.environ, "RAY_AUTH_MODE": "disabled"})


def wait_for(process: subprocess.Popen[bytes], paths: Iterator[Path] | list[Path]) -> None:
    deadline, paths = time.monotonic() + 400, list(paths)
    while not all(path.exists() for path in paths):
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_that_is_killed_equals_campaigns_run_alone(data, tmp_path):
    plan, folder = Sweep(over=OVER, campaign=data), tmp_path / "sweep"
    process = start(plan, tmp_path / "config.yaml", folder)
    wait_for(process, [folder / "trials/top_percent-3_cycles-2/round-00" / COMMITTED])
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob(f"*/*/round-*/{COMMITTED}")}
    assert len(kept) >= 4
    assert start(plan, tmp_path / "config.yaml", folder).wait() == 0
    assert (
        kept.items()
        <= {path: path.stat().st_mtime_ns for path in folder.glob(f"*/*/round-*/{COMMITTED}")}.items()
    )

    found = json.loads((folder / "sweep.json").read_text())
    assert found["work"] == {
        "rounds": 6,
        "passes": 6 * 2 * 5,
        "separate_rounds": 12,
        "separate_passes": 12 * 2 * 5,
    }
    for trial in (plan.trials()[1], plan.trials()[2]):
        alone = run_campaign(trial.config, tmp_path / trial.name)
        swept = open_campaign(folder / "trials" / trial.name)
        assert all_points(swept, 2) == all_points(alone, 2)
        assert [swept.round(number).read_json(METRICS) for number in (0, 1)] == [
            alone.round(number).read_json(METRICS) for number in (0, 1)
        ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_asha_stops_the_poor_trial_and_it_stays_stopped(data, tmp_path):
    folder = tmp_path / "sweep"
    query = dataclasses.replace(data.query, scope="dataset", floor=1, ceiling=4)  # an actor more
    data = dataclasses.replace(data, query=query, train=dataclasses.replace(data.train, epochs=6))
    over = ("train.lr-max=0.000001,0.01", "budget.total=6")  # of two points, who learns is the worse one
    plan = Sweep(over=over, metric="mae", stop_early=True, grace=2, keep_one_in=2, campaign=data)
    for _ in range(2):
        assert start(plan, tmp_path / "config.yaml", folder).wait() == 0
        first, poor = json.loads((folder / "sweep.json").read_text())["trials"]
        assert [first["state"], poor["state"]] == ["finished", "stopped"]
        assert len(list(folder.glob(f"trials/*/round-*/{COMMITTED}"))) < 6
