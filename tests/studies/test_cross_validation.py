"""Each network on the points of each: what is trained, what is shared, and that a kill costs no finished
cell.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaigns import open_campaign, tiny_config

from atal_ray import cli
from atal_ray.campaign import run as campaigns
from atal_ray.campaign.campaign_folder import COMMITTED, MANIFEST, MEMBERS, METRICS, POINTS, CampaignFolder
from atal_ray.config import BudgetConfig, Config, DataConfig, NetworkConfig, RegionConfig, TrainConfig
from atal_ray.data.manifest import MANIFEST_SCHEMA
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError
from atal_ray.store import lock
from atal_ray.store import uri as stores
from atal_ray.store.folder import Folder
from atal_ray.store.lease import Times
from atal_ray.studies.cross_validation import CrossValidation, cross_validate, trainings


@pytest.fixture
def plan() -> CrossValidation:
    return CrossValidation(campaign=tiny_config(Path("/data/train"), (Path("/data/test"),)))


def test_nine_pairs_of_three_networks(plan, tmp_path):
    found = list(trainings(plan, Folder(str(tmp_path))))
    assert [one.folder for one in found] == [
        "minet-on-minet", "f3net-on-f3net", "pfsnet-on-pfsnet", "minet-on-full", "f3net-on-full", "pfsnet-on-full",
        "f3net-on-minet", "pfsnet-on-minet", "minet-on-f3net", "pfsnet-on-f3net", "minet-on-pfsnet", "f3net-on-pfsnet",
    ]  # fmt: skip
    for one in found:
        assert one.config.network.name == one.network
        assert one.config.resources.superpixels == f"{tmp_path}/superpixels"
    assert all(one.config.asks for one in found[:3])
    assert {one.config.train for one in (*found[:3], *found[6:])} == {plan.campaign.train}
    assert [one.config.data.points for one in found[6:8]] == [f"{tmp_path}/minet-on-minet"] * 2


def test_full_supervision_is_the_published_recipe_or_the_same_one(plan, tmp_path):
    minet, f3net, pfsnet = list(trainings(plan, Folder(str(tmp_path))))[3:6]
    assert [one.config.train.loss for one in (minet, f3net, pfsnet)] == ["bce+cel", "bce+wiou", "bce+iou"]
    assert [one.config.train.size for one in (minet, f3net, pfsnet)] == [320, 352, 352]
    assert {one.config.regions.labels for one in (minet, f3net, pfsnet)} == {"dense"}
    same = list(trainings(dataclasses.replace(plan, full="same"), Folder(str(tmp_path))))[3:6]
    assert {one.config.train for one in same} == {plan.campaign.train}


@pytest.mark.parametrize(
    ("campaign", "changes", "sentence"),
    [
        (Config(regions=RegionConfig(labels="dense")), {}, "selects points"),
        (Config(data=DataConfig(points="points.parquet")), {}, "selects points"),
        (Config(train=TrainConfig(warm_start=True)), {}, "warm-start"),
        (Config(data=DataConfig(train="train")), {}, "at least one test set"),
        (
            Config(),
            {"networks": ("f3net", "f3net-small")},
            "no published recipe of f3net-small: use --full same",
        ),
        (Config(budget=BudgetConfig(annotator="answers")), {}, "use budget.annotator oracle"),
    ],
)
def test_what_cannot_be_cross_validated_is_refused(tmp_path, campaign, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        cross_validate(CrossValidation(campaign=campaign, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_twice_is_refused():
    with pytest.raises(ConfigError, match="give each of them once"):
        CrossValidation(networks=("f3net", "f3net"))


def test_weights_are_for_networks_with_a_pretrained_backbone(plan, tmp_path):
    campaign = dataclasses.replace(plan.campaign, network=NetworkConfig(weights="resnet50.pth"))
    mixed = CrossValidation(networks=("f3net", "f3net-small"), full="same", campaign=campaign)
    found = {one.network: one.config.network.weights for one in trainings(mixed, Folder(str(tmp_path)))}
    assert found == {"f3net": "resnet50.pth", "f3net-small": None}


@pytest.fixture
def ran(monkeypatch, plan) -> list[str]:
    """Folders of the campaigns that ran; each leaves what a finished one does, without any work."""
    ran: list[str] = []

    def run(config: Config, folder: str) -> None:
        if len(ran) == 4:
            ran.clear()
            raise CampaignError("cut short")
        campaign = CampaignFolder(Folder(folder))
        for number in range(config.rounds):
            campaign.round(number).write_json(
                METRICS, {"test": {who: {"max_f": 0.5 + len(ran) / 100} for who in MEMBERS}}
            )
            campaign.commit(number)
        campaign.root.write_table(MANIFEST, MANIFEST_SCHEMA.empty_table())
        campaign.root.write_bytes("report.html", b"")
        ran.append(stores.split(folder)[1])

    monkeypatch.setattr(campaigns, "run", run)
    monkeypatch.setattr(
        "atal_ray.studies.cross_validation.campaign_session", lambda config: contextlib.nullcontext()
    )
    return ran


@pytest.fixture
def small(plan) -> CrossValidation:
    return dataclasses.replace(plan, networks=("f3net-small", "toy_network:Toy"), full="same")


def test_finished_cells_stay_in_the_table_and_do_not_run_again(ran, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CampaignError, match="cut short"):
        cross_validate(small, Path("run"))
    half = (tmp_path / "run/cross_validation.md").read_text()
    assert half.count("–") == 4  # two cells in each of two tables
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    cross_validate(small, Path("../run"))
    assert ran == ["toy_network.Toy-on-f3net-small", "f3net-small-on-toy_network.Toy"]
    assert "–" not in (tmp_path / "run/cross_validation.md").read_text()
    cross_validate(small, Path("../run"))
    assert len(ran) == 2


def test_another_plan_is_refused_before_anything_runs(ran, small, tmp_path):
    with pytest.raises(CampaignError, match="cut short"):
        cross_validate(small, tmp_path / "run")
    before = (tmp_path / "run/cross_validation.md").read_text()
    for changed in (
        {"networks": ("f3net-small",)},
        {"campaign": dataclasses.replace(small.campaign, seed=3)},
    ):
        with pytest.raises(
            CampaignError, match=r"started with another configuration.*\n  (networks|campaign\.seed):"
        ):
            cross_validate(dataclasses.replace(small, **changed), tmp_path / "run")
    assert ran == []
    assert (tmp_path / "run/cross_validation.md").read_text() == before
    resources = dataclasses.replace(small.campaign.resources, query_actors=2)
    cross_validate(
        dataclasses.replace(small, campaign=dataclasses.replace(small.campaign, resources=resources)),
        tmp_path / "run",
    )
    assert len(ran) == 2


def test_resume_needs_no_flags(ran, small, tmp_path, monkeypatch):
    with pytest.raises(CampaignError, match="cut short"):
        cross_validate(small, tmp_path / "run")
    monkeypatch.setattr("sys.argv", ["atal", "resume", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert len(ran) == 2


@pytest.mark.slow
def test_it_goes_on_in_an_object_store(ran, small, s3, monkeypatch, capsys):
    monkeypatch.setattr(lock, "Times", lambda: Times(beat=1))
    root = s3.folder()
    with pytest.raises(CampaignError, match="cut short"):
        cross_validate(small, root.uri)
    monkeypatch.setattr("sys.argv", ["atal", "resume", root.uri])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert ran == ["toy_network.Toy-on-f3net-small", "f3net-small-on-toy_network.Toy"]
    assert f"done: {root.where('cross_validation.md')}" in capsys.readouterr().out
    assert "–" not in root.read_bytes("cross_validation.md").decode()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_costs_no_finished_cell(tmp_path):
    train, test = (
        write_dataset(tmp_path / "train", count=6),
        write_dataset(tmp_path / "test", count=3, seed=1),
    )
    folder = tmp_path / "run"
    command = [
        sys.executable,
        str(Path(__file__).parents[2] / "jobs/cross_validate.py"),
        "demo",
        str(folder),
        "--full",
        "same",
    ]
    command += [
        "--networks",
        "f3net-small",
        "toy_network:Toy",
        "--data.train",
        str(train),
        "--data.tests",
        str(test),
    ]
    command += ["--train.size", "64", "--train.scales", "64", "--train.epochs", "3", "--budget.total", "2"]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}

    process = subprocess.Popen(command, cwd=Path(__file__).parent, env=environment)
    deadline = time.monotonic() + 300
    while not (folder / "toy_network.Toy-on-full/config.yaml").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "the moment to kill never came"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    half = json.loads((folder / "cross_validation.json").read_text())
    done = {path: path.stat().st_mtime_ns for path in folder.glob(f"*/round-00/{COMMITTED}")}
    snapshots = {
        path: path.stat().st_mtime_ns for folder_ in done for path in folder_.parent.glob("snapshots/*.pt")
    }
    assert {path.parts[-3] for path in done} == {
        "f3net-small-on-f3net-small",
        "toy_network.Toy-on-toy_network.Toy",
        "f3net-small-on-full",
    }

    assert subprocess.run(command, cwd=Path(__file__).parent, env=environment).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in [*done, *snapshots]} == done | snapshots
    table = json.loads((folder / "cross_validation.json").read_text())["sets"]["test"]["last"]
    assert len(snapshots) == 9
    assert half["sets"]["test"]["last"]["full"]["toy_network:Toy"] is None
    for points in ("f3net-small", "toy_network:Toy"):
        for network in ("f3net-small", "toy_network:Toy"):
            cell = table["cells"][points][network]
            assert cell["of_full"] == cell["max_f"] / table["full"][network]
    text = (folder / "cross_validation.md").read_text()
    assert "| points of | f3net-small | toy_network:Toy |" in text
    assert "–" not in text

    given = open_campaign(folder / "f3net-small-on-toy_network.Toy").round(0).read_table(POINTS)
    assert given.equals(
        open_campaign(folder / "toy_network.Toy-on-toy_network.Toy").round(0).read_table(POINTS)
    )
    assert len(list((folder / "superpixels").iterdir())) == 1
    assert not list(folder.glob("*/superpixels"))
