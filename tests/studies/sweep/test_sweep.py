"""A sweep: what is trained once, what is reported, and that neither kills nor failures lose a trial."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from campaigns import all_points, on_ray, open_campaign, tiny_config

from atal_ray import cli
from atal_ray.campaign.campaign_folder import COMMITTED, METRICS, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, NetworkConfig, config_file
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError
from atal_ray.report.page import REPORT
from atal_ray.store.folder import Folder
from atal_ray.studies.sweep import trial_jobs
from atal_ray.studies.sweep.plan import Sweep
from atal_ray.studies.sweep.sweep import jobs, sweep
from atal_ray.studies.sweep.trial_jobs import DIVERGED, STOPPED

OVER = ("query.top-percent=3,30", "train.cycles=1,2", "budget.total=2,4")
NAMES = ["top_percent-3", "top_percent-30"]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Two trials of two rounds inline, by a network of two convolutions on three images."""
    folder = tmp_path_factory.mktemp("sweep")
    train, test = write_dataset(folder / "train", count=3), write_dataset(folder / "test", count=2, seed=1)
    campaign = tiny_config(train, (test,), network=NetworkConfig(name="toy_network:Toy"))
    return Sweep(over=("query.top-percent=3,30", "budget.total=2,4"), campaign=campaign)


@pytest.fixture(scope="module")
def swept(plan: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished sweep, for reading only."""
    folder = tmp_path_factory.mktemp("swept") / "run"
    sweep(plan, folder)
    return folder


@pytest.fixture
def copied(swept: Path, tmp_path: Path) -> Path:
    """A copy of the finished sweep, to be changed."""
    return Path(shutil.copytree(swept, tmp_path / "copied"))


def numbers(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sweep.json").read_text())


def commits(folder: Path) -> dict[str, int]:
    """When each round was committed, by its path in the folder."""
    found = folder.glob(f"*/*/round-*/{COMMITTED}")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def test_trials_that_agree_until_the_first_query_share_it(plan, tmp_path):
    found = jobs(dataclasses.replace(plan, over=OVER), Folder(str(tmp_path)))
    assert [(job.config.train.cycles, job.config.rounds) for job in found.shared] == [(1, 1), (2, 1)]
    sources = [job.source and job.source.root.uri.removeprefix(f"{tmp_path}/") for job in found.trials]
    assert sources == ["shared/00", "shared/01", "shared/00", "shared/01"]
    assert {job.config.resources.superpixels for job in found} == {f"{tmp_path}/superpixels"}


def test_nothing_is_shared_where_nothing_is_alike(plan, tmp_path):
    found = jobs(dataclasses.replace(plan, over=("train.cycles=1,2",)), Folder(str(tmp_path)))
    assert found.shared == []
    assert [job.source for job in found.trials] == [None, None]


def test_trials_equal_campaigns_run_alone_and_share_their_first_round(plan, swept, tmp_path):
    first, other = (open_campaign(swept / "trials" / name) for name in NAMES)
    alone = run_campaign(plan.trials()[1].config, tmp_path / "alone")
    assert all_points(other, 2) == all_points(alone, 2)
    for number in range(2):
        assert other.round(number).read_json(METRICS) == alone.round(number).read_json(METRICS)
    assert all_points(first, 2)[0] == all_points(other, 2)[0]
    assert all_points(first, 2)[1] != all_points(other, 2)[1]
    images, epochs = 3, 2
    assert numbers(swept)["work"] == {
        "rounds": 3,
        "passes": 3 * images * epochs,
        "separate_rounds": 6,
        "separate_passes": 6 * images * epochs,
    }


def test_what_the_trials_came_to_is_written(plan, swept):
    found = numbers(swept)
    assert [(trial["name"], trial["state"], trial["reason"]) for trial in found["trials"]] == [
        (name, "finished", "") for name in NAMES
    ]
    scores = {}
    for trial in found["trials"]:
        campaign = open_campaign(swept / "trials" / trial["name"])
        for number, points in enumerate((2, 4)):
            metrics = campaign.round(number).read_json(METRICS)["test"]
            for member in ("ensemble", "last"):
                shown = trial["metrics"][str(points)]["test"][member]
                assert shown == {name: metrics[member][name] for name in ("max_f", "mae", "s_measure")}
            scores[trial["name"], points] = metrics["ensemble"]["max_f"]
    best = found["best"]
    assert best["score"] == scores[best["trial"], best["points"]] == max(scores.values())
    config = config_file.load(swept / "best.yaml")
    chosen = next(trial for trial in plan.trials() if trial.name == best["trial"])
    assert config == dataclasses.replace(
        chosen.config, budget=dataclasses.replace(chosen.config.budget, total=best["points"])
    )
    page = (swept / "sweep.html").read_text()
    assert f"{best['score']:.4f}: {best['trial']}, {best['points']} points an image" in page


Fault = Callable[[str], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Let the campaign of a folder's name fail, once, when it is about to start."""
    waiting: list[str] = []

    def run(config: Config, folder: str, on_round: Callable[[CampaignFolder, int], None]) -> CampaignFolder:
        name = Path(folder).name
        if name in waiting:
            waiting.remove(name)
            raise CampaignError("the machine is on fire")
        return run_campaign(config, folder, on_round)

    monkeypatch.setattr(trial_jobs, "run_campaign", run)
    return waiting.append


def forget(folder: Path, *names: str) -> None:
    """Take the trials back to their preparation."""
    for name in names:
        shutil.rmtree(folder / "trials" / name / "round-00")
        shutil.rmtree(folder / "trials" / name / "round-01")
        (folder / "trials" / name / REPORT).unlink()


def test_a_failed_trial_is_named_and_tried_again_and_finished_ones_stay(plan, copied, swept, fail):
    forget(copied, NAMES[1])
    fail(NAMES[1])
    before = commits(copied)
    sentence = (
        rf"1 of 2 trials failed; the same command tries them again:\n  {NAMES[1]}: the machine is on fire"
    )
    with pytest.raises(CampaignError, match=sentence):
        sweep(plan, copied)
    half = numbers(copied)["trials"]
    assert [trial["state"] for trial in half] == ["finished", "failed"]
    assert half[1]["reason"] == "the machine is on fire"
    assert "the machine is on fire" in (copied / "sweep.html").read_text()

    sweep(plan, copied)
    assert before.items() <= commits(copied).items()
    whole, wanted = numbers(copied), numbers(swept)
    assert [whole[part] for part in ("trials", "best", "work")] == [
        wanted[part] for part in ("trials", "best", "work")
    ]


def test_a_shared_round_that_failed_fails_the_trials_that_wait_for_it(plan, copied, fail):
    forget(copied, NAMES[1])
    (copied / "shared/00" / REPORT).unlink()
    fail("00")
    with pytest.raises(CampaignError, match=rf"1 of 2 trials failed.*\n  {NAMES[1]}: the machine is on fire"):
        sweep(plan, copied)
    assert [trial["state"] for trial in numbers(copied)["trials"]] == ["finished", "failed"]
    assert not (copied / "trials" / NAMES[1] / "round-00").exists()


def test_another_plan_is_refused_and_resume_needs_no_flags(plan, copied, monkeypatch):
    before = commits(copied)
    with pytest.raises(CampaignError, match="started with another configuration"):
        sweep(dataclasses.replace(plan, metric="mae"), copied)
    (copied / "sweep.html").unlink()
    monkeypatch.setattr("sys.argv", ["atal", "resume", str(copied)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert (copied / "sweep.html").exists()
    assert commits(copied) == before


def test_how_many_run_at_once_may_change(plan, copied):
    sweep(dataclasses.replace(plan, trials_at_once=1), copied)


def test_a_stopped_trial_is_not_run_again(plan, copied):
    poor = copied / "trials" / NAMES[0]
    shutil.rmtree(poor / "round-01")
    (poor / REPORT).unlink()
    (poor / STOPPED).write_text(json.dumps({"round": 0, "points": 2, "score": 0.2}))
    sweep(plan, copied)
    first = numbers(copied)["trials"][0]
    assert (first["state"], list(first["metrics"])) == ("stopped", ["2"])
    assert not (poor / "round-01").exists()


def test_a_trial_that_diverges_is_a_row_and_the_others_go_on(plan, tmp_path, caplog):
    over = ("train.lr-max=1000000000000,0.001", "budget.total=2")
    sweep(dataclasses.replace(plan, over=over), tmp_path / "run")
    first, second = numbers(tmp_path / "run")["trials"]
    assert (first["state"], second["state"]) == ("diverged", "finished")
    assert first["reason"].startswith("the training diverged: in epoch ")
    assert first["name"] in caplog.text
    page = (tmp_path / "run/sweep.html").read_text()
    assert "1 finished, 1 diverged" in page
    note = tmp_path / "run/trials" / first["name"] / DIVERGED
    before = note.stat().st_mtime_ns
    sweep(dataclasses.replace(plan, over=over), tmp_path / "run")  # it would diverge again
    assert note.stat().st_mtime_ns == before
    assert numbers(tmp_path / "run")["trials"] == [first, second]


def test_trials_whose_shared_round_diverges_have_diverged(plan, tmp_path):
    train = dataclasses.replace(plan.campaign.train, lr_max=1e12)
    diverging = dataclasses.replace(plan, campaign=dataclasses.replace(plan.campaign, train=train))
    sweep(diverging, tmp_path / "run")
    found = numbers(tmp_path / "run")
    assert [trial["state"] for trial in found["trials"]] == ["diverged", "diverged"]
    assert found["best"] is None


@pytest.mark.slow
def test_ray_tune_stops_the_poor_trial_and_the_other_has_the_same_points(plan, tmp_path):
    over = ("train.lr-max=1,0.000001",)  # the second one stays where it started
    inline = Sweep(over=over, metric="mae", campaign=plan.campaign)
    sweep(inline, tmp_path / "inline")
    wanted = numbers(tmp_path / "inline")["trials"]
    first, second = (trial["metrics"]["2"]["test"]["ensemble"]["mae"] for trial in wanted)
    assert first < second - 0.1, "the trials are too alike to be told apart"

    folder = tmp_path / "ray"
    on_tune = dataclasses.replace(inline, campaign=on_ray(plan.campaign))
    options = [
        "--metric",
        "mae",
        "--stop-early",
        "--grace",
        "2",
        "--keep-one-in",
        "2",
        "--trials-at-once",
        "1",
    ]
    assert start(on_tune, tmp_path / "config.yaml", folder, *options).wait() == 0
    found = numbers(folder)["trials"]
    assert [trial["state"] for trial in found] == ["finished", "stopped"]
    assert found[0]["metrics"] == wanted[0]["metrics"]
    assert found[1]["metrics"] == {"2": wanted[1]["metrics"]["2"]}
    assert len(commits(folder)) == 3
    whole = open_campaign(folder / "trials" / found[0]["name"])
    assert all_points(whole, 2) == all_points(open_campaign(tmp_path / "inline/trials" / found[0]["name"]), 2)


@pytest.fixture
def data(tmp_path: Path) -> Config:
    train, test = (
        write_dataset(tmp_path / "train", count=7),
        write_dataset(tmp_path / "test", count=3, seed=1),
    )
    return on_ray(tiny_config(train, (test,)))


def start(plan: Sweep, config: Path, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """A sweep in a process of its own, whose workers find the networks of the tests."""
    config.write_text(config_file.to_yaml(plan.campaign))
    tests = Path(__file__).parents[2]
    job = [sys.executable, str(tests.parent / "jobs/sweep.py"), str(config), str(folder)]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(tests)}
    return subprocess.Popen([*job, "--over", *plan.over, *options], env=environment)


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
        "passes": 6 * 2 * 7,
        "separate_rounds": 12,
        "separate_passes": 12 * 2 * 7,
    }
    for trial in (plan.trials()[1], plan.trials()[2]):
        alone = run_campaign(trial.config, tmp_path / trial.name)
        swept = open_campaign(folder / "trials" / trial.name)
        assert all_points(swept, 2) == all_points(alone, 2)
        assert [swept.round(number).read_json(METRICS) for number in (0, 1)] == [
            alone.round(number).read_json(METRICS) for number in (0, 1)
        ]
