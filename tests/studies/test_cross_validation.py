"""Each network on the points of each: what is trained, what is shared, and that a kill costs no finished
cell.
"""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from campaigns import open_campaign, tiny_config

from atal_ray import cli
from atal_ray.campaign.campaign_folder import COMMITTED, MEMBERS, METRICS, POINTS, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import (
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    RegionConfig,
    TrainConfig,
    config_file,
)
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError
from atal_ray.store import lock
from atal_ray.store.folder import Folder
from atal_ray.store.lease import Times
from atal_ray.studies import cross_validation
from atal_ray.studies.cross_validation import CrossValidation, cross_validate, trainings


@pytest.fixture
def plan() -> CrossValidation:
    return CrossValidation(campaign=tiny_config(Path("/data/train"), (Path("/data/test"),)))


def test_nine_pairs_of_three_networks(plan, tmp_path):
    found = list(trainings(plan, Folder(str(tmp_path))))
    assert [one.folder for one in found] == [
        "minet-on-minet", "f3net-on-f3net", "pfsnet-on-pfsnet",
        "minet-on-full", "f3net-on-full", "pfsnet-on-full",
        "f3net-on-minet", "pfsnet-on-minet", "minet-on-f3net",
        "pfsnet-on-f3net", "minet-on-pfsnet", "f3net-on-pfsnet",
    ]  # fmt: skip
    for one in found:
        assert one.config.network.name == one.network
        assert one.config.resources.superpixels == f"{tmp_path}/superpixels"
    assert all(one.config.asks for one in found[:3])
    assert {one.config.train for one in (*found[:3], *found[6:])} == {plan.campaign.train}
    assert [one.config.data.points for one in found[:6]] == [None] * 6
    for one in found[6:]:
        assert one.config.data.points == f"{tmp_path}/{one.points}-on-{one.points}"


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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    """Two small networks inline on three images."""
    folder = tmp_path_factory.mktemp("cross")
    train, test = write_dataset(folder / "train", count=3), write_dataset(folder / "test", count=2, seed=1)
    return CrossValidation(
        networks=("toy_network:Toy", "toy_network:WideToy"), full="same", campaign=tiny_config(train, (test,))
    )


NAMES = ("toy_network.Toy", "toy_network.WideToy")


@pytest.fixture(scope="module")
def whole(small: CrossValidation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross validation; its last campaign was cut short once, and half.md is its table then."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "run_campaign", cut_short_at(f"{NAMES[0]}-on-{NAMES[1]}"))
        patch.chdir(folder)
        with pytest.raises(CampaignError, match="cut short"):
            cross_validate(small, Path("run"))
        shutil.copy("run/cross_validation.md", "half.md")
        (folder / "sub").mkdir()
        patch.chdir(folder / "sub")
        cross_validate(small, Path("../run"))
    return folder / "run"


def cut_short_at(name: str) -> Callable[[Config, str], CampaignFolder]:
    """Campaigns that run, but for the one of this name, which fails the first time."""
    waiting = [name]

    def run(config: Config, folder: str) -> CampaignFolder:
        if waiting and folder.partition("?")[0].endswith(f"/{waiting[0]}"):
            waiting.clear()
            raise CampaignError("cut short")
        return run_campaign(config, folder)

    return run


def commits(folder: Path) -> dict[str, int]:
    """When each round was committed, by its path in the folder."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.glob(f"*/round-*/{COMMITTED}")
    }


def points_of(campaign: Path) -> list[tuple[object, ...]]:
    """Every point that a finished campaign trained on last, sorted."""
    opened = open_campaign(campaign)
    rows = opened.points(opened.committed_rounds() - 1).to_pylist()
    return sorted((row["image_id"], row["x"], row["y"], row["label"]) for row in rows)


def test_each_network_trains_on_the_points_that_each_selected(whole):
    selected = {name: points_of(whole / f"{name}-on-{name}") for name in NAMES}
    assert selected[NAMES[0]] != selected[NAMES[1]]
    for name, other in (NAMES, NAMES[::-1]):
        cell = whole / f"{name}-on-{other}"
        assert points_of(cell) == selected[other]
        assert config_file.of_campaign(Folder(str(cell))).network.name == name.replace(".", ":")
    for name in NAMES:
        assert points_of(whole / f"{name}-on-full") == []


def test_the_table_holds_the_last_round_of_each_campaign(whole, small):
    found = json.loads((whole / "cross_validation.json").read_text())["sets"]["test"]
    for member in MEMBERS:
        for points, network in product([*small.networks, "full"], small.networks):
            campaign = open_campaign(whole / f"{network}-on-{points}".replace(":", "."))
            metrics = campaign.round(campaign.committed_rounds() - 1).read_json(METRICS)["test"][member]
            full = found[member]["full"][network]
            if points == "full":
                assert full == metrics["max_f"]
            else:
                wanted = {"max_f": metrics["max_f"], "of_full": metrics["max_f"] / full}
                assert found[member]["cells"][points][network] == wanted


def test_what_is_finished_is_in_the_table_before_the_rest_runs(whole):
    assert (whole.parent / "half.md").read_text().count("–") == 2  # a cell in each of two tables
    assert "–" not in (whole / "cross_validation.md").read_text()


def test_finished_cells_do_not_run_again_and_resume_needs_no_flags(whole, monkeypatch):
    before = commits(whole)
    assert len(before) == 2 * 2 + 2 + 2
    table = (whole / "cross_validation.md").read_text()
    (whole / "cross_validation.md").unlink()
    monkeypatch.setattr("sys.argv", ["atal", "resume", str(whole)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert commits(whole) == before
    assert (whole / "cross_validation.md").read_text() == table


def test_another_plan_is_refused_before_anything_runs(whole, small):
    before = commits(whole)
    for changed in (
        {"networks": small.networks[:1]},
        {"campaign": dataclasses.replace(small.campaign, seed=3)},
    ):
        with pytest.raises(
            CampaignError, match=r"started with another configuration.*\n  (networks|campaign\.seed):"
        ):
            cross_validate(dataclasses.replace(small, **changed), whole)
    assert commits(whole) == before
    resources = dataclasses.replace(small.campaign.resources, object_store_mib=300)
    cross_validate(
        dataclasses.replace(small, campaign=dataclasses.replace(small.campaign, resources=resources)), whole
    )
    assert commits(whole) == before


@pytest.mark.slow
def test_it_goes_on_in_an_object_store(small, s3, monkeypatch, capsys):
    monkeypatch.setattr(lock, "Times", lambda: Times(beat=1))
    monkeypatch.setattr(cross_validation, "run_campaign", cut_short_at(f"{NAMES[0]}-on-{NAMES[1]}"))
    root = s3.folder()
    with pytest.raises(CampaignError, match="cut short"):
        cross_validate(small, root.uri)
    monkeypatch.setattr("sys.argv", ["atal", "resume", root.uri])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
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

    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment)
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

    assert subprocess.run(command, cwd=Path(__file__).parents[1], env=environment).returncode == 0
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
