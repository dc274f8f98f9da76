"""Campaigns by other methods than the paper's, and by a user's own."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import outside_plugins
import pyarrow as pa
import pytest
import torch
from campaigns import all_points, assert_finished, open_campaign, tiny_config

from atal_ray.acquisition.predictions import Predictions
from atal_ray.acquisition.registered import METHODS
from atal_ray.acquisition.scores.adversarial import FlipMargin
from atal_ray.acquisition.seen import Seen
from atal_ray.campaign.campaign_folder import QUERIES, START
from atal_ray.campaign.generate import Generation, generate
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.query.fitted_file import read_fitted
from atal_ray.campaign.query.score import PickShard
from atal_ray.campaign.run import run_campaign
from atal_ray.commands.plans import parsed
from atal_ray.config import BudgetConfig, Config, QueryConfig
from atal_ray.errors import CheckpointError, DataError, DivergedError
from atal_ray.inference.prepared import Prepared
from atal_ray.labels.points import RANDOM, UNATTACKED
from atal_ray.networks.graphed import Graphed
from atal_ray.runtime.shards import Pool, ShardWork, run_works

OWN = ["--query.method", "own_plugins:Spread", "--regions.method", "own_plugins:Slic"]
TRAINED = {
    "llal": ["--query.predicted-loss.channels", "8"],
    "ta-vaal": ["--query.unlabelled.width", "4", "--query.unlabelled.channels", "8"],
    "mcdr": ["--network.name", "toy_network:Toy", "--network.dropout", "0.3", "--query.mcdr.passes", "4"],
    "nes": [
        *("--train.ensemble", "networks", "--query.nes.members", "1"),
        *("--query.nes.networks", "toy_network:Toy", "toy_network:WideToy"),
    ],
    "isal": ["--network.name", "toy_network:Toy", "--query.influence.reference", "0.4"],
    "cset": ["--query.core-set.centres", "9"],
    "oracle": [],
}
"""Methods that are trained or fitted in their own way, with what keeps them small."""
QUICK = [
    pytest.param(name, marks=() if name in ("den", "pixelpick", "foreground", "grid") else pytest.mark.slow)
    for name in METHODS.known
    if name not in ("atal", *TRAINED)
]


def asked(finished: tuple[Config, Path], folder: Path, **changes: object) -> pa.Table:
    config, campaign = finished
    ensemble = "networks" if changes.get("method") == "den" else "trajectory"
    changed = replace(
        config, query=replace(config.query, **changes), train=replace(config.train, ensemble=ensemble)
    )
    out = open_campaign(folder).root
    query(open_campaign(campaign), changed, 0, out)
    return out.read_table(QUERIES)


@pytest.mark.parametrize("method", QUICK)
def test_each_asks_for_the_budget_whatever_the_batches(
    finished: tuple[Config, Path], tmp_path: Path, method: str
) -> None:
    found = asked(finished, tmp_path / "one", method=method)
    assert found.num_rows == 2 * 7
    assert set(found["region"].to_pylist()) <= {RANDOM, UNATTACKED}
    assert found.equals(asked(finished, tmp_path / "again", method=method, shard_size=2))


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=() if name in ("llal", "isal") else pytest.mark.slow) for name in TRAINED],
)
def test_what_a_method_trains_and_fits_goes_on_and_does_not_depend_on_shards(
    finished: tuple[Config, Path],
    tmp_path: Path,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = finished[1].parent
    options = ["--query.method", method, *TRAINED[method]]
    config = parsed(tiny_config(folder / "train", (folder / "test",)), options, "test")
    campaign = run_campaign(config, tmp_path / "run")
    assert_finished(campaign, 2)
    other = replace(config, query=replace(config.query, shard_size=2, batch_size=1))
    monkeypatch.setattr("atal_ray.campaign.look.run_works", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(other, tmp_path / "again")
    monkeypatch.undo()
    again = run_campaign(other, tmp_path / "again")
    assert all_points(again, 2) == all_points(campaign, 2)
    assert "the report will show no maps" not in caplog.text
    cost = again.round(0).read_json("cost.json")
    if method in ("isal", "cset", "ta-vaal", "nes"):
        assert cost["fit"]["passes"] == {"isal": 7, "cset": 7, "ta-vaal": 5 * 7, "nes": 2 * 7}[method]
        assert cost["fit"]["device_seconds"] > 0
    assert cost["query"]["passes"]["plain"] == 7
    assert f"Points were chosen by {method}" in campaign.root.read_bytes("report.html").decode()


def test_a_fitted_method_asks_about_other_images_by_the_points_of_its_campaign(
    finished: tuple[Config, Path], tmp_path: Path
) -> None:
    folder = finished[1].parent
    options = ["--query.method", "isal", *TRAINED["isal"]]
    config = parsed(tiny_config(folder / "train", (folder / "test",)), options, "test")
    campaign = run_campaign(config, tmp_path / "run")
    plan = replace(Generation.like(campaign.root.uri), images=str(folder / "test"), points=2)
    made = generate(plan, tmp_path / "points")
    assert made.round(0).count_rows(QUERIES) == 2 * 4
    fitted = read_fitted(made.round(0))["score"]["weight"]
    assert fitted.abs().max() > 0
    assert not campaign.round(1).exists("fitted.pt")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["llal", "mcdr"])
def test_where_nothing_is_asked_nothing_is_trained_for_a_method(
    finished: tuple[Config, Path], tmp_path: Path, method: str
) -> None:
    folder = finished[1].parent
    options = ["--query.method", method, "--data.points", str(finished[1])]
    config = parsed(tiny_config(folder / "train", (folder / "test",)), options, "test")
    assert_finished(run_campaign(config, tmp_path / "run"), 1)


@pytest.mark.slow
def test_a_fit_without_readable_images_is_a_sentence(finished: tuple[Config, Path], tmp_path: Path) -> None:
    folder = finished[1].parent
    shutil.copytree(folder / "train", tmp_path / "train")
    options = ["--query.method", "isal", *TRAINED["isal"]]
    config = parsed(tiny_config(tmp_path / "train", (folder / "test",)), options, "test")
    campaign = run_campaign(config, tmp_path / "run")
    plan = replace(Generation.like(campaign.root.uri), images=str(folder / "test"), points=2)
    for path in (tmp_path / "train/images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="can be read to fit the method to its points"):
        generate(plan, tmp_path / "points")


def test_the_oracle_of_the_loss_needs_masks(finished: tuple[Config, Path], tmp_path: Path) -> None:
    folder = finished[1].parent
    shutil.copytree(folder / "train/images", tmp_path / "train/images")
    options = ["--query.method", "oracle", "--budget.annotator", "answers"]
    config = parsed(tiny_config(tmp_path / "train", (folder / "test",)), options, "test")
    with pytest.raises(DataError, match=r"7 images have no mask, which query\.score true-loss reads"):
        run_campaign(config, tmp_path / "run")


def interrupt(works: list[ShardWork], pool: Pool) -> Iterator[tuple[int, dict[str, Any]]]:
    """The random start and the evaluation as they are; the query is interrupted behind its fit."""
    for number, row in run_works(works, pool):
        if works[number].title == "round 0: query":
            raise KeyboardInterrupt
        yield number, row


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cover_space": "both", "margin": 0.1},
        {"strategy": "top", "score": "margin-change"},
        {"method": "pixelpick"},
        {"method": "foreground"},
        {"method": "ripu"},
        {"scope": "dataset", "ceiling": 4},
    ],
    ids=str,
)
def test_as_on_a_gpu_the_same_points_are_found(
    finished: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Pixels are chosen beside the next batch, and of the maps only the candidates are brought."""
    found = asked(finished, tmp_path / "one by one", batch_size=2, **changes)
    monkeypatch.setattr(PickShard, "on_gpu", True)
    monkeypatch.setattr(PickShard, "_recorded", None)  # there is no GPU to record on
    assert found.equals(asked(finished, tmp_path / "ahead", batch_size=2, **changes))


def test_from_a_gpu_only_the_maps_that_the_report_shows_are_brought_whole(
    finished: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[int] = []
    of = Predictions.of

    def noted(found: Predictions, index: int) -> Seen:
        brought.append(index)
        return of(found, index)

    monkeypatch.setattr(Predictions, "of", noted)
    asked(finished, tmp_path / "cpu")
    assert len(brought) == 7
    brought.clear()
    monkeypatch.setattr(PickShard, "on_gpu", True)
    monkeypatch.setattr(PickShard, "_recorded", None)
    asked(finished, tmp_path / "gpu")
    assert len(brought) == 4


def test_on_a_gpu_the_estimate_is_recorded_and_replayed(
    finished: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording is pretended; what it was given, with the labelled points too, gives the same points."""
    calls: list[int] = []
    call = Graphed.__call__

    def counted(graphed: Graphed[Any], *tensors: torch.Tensor) -> Any:
        calls.append(len(tensors))
        graphed.usable = False
        return call(graphed, *tensors)

    for labels, tensors in (("prediction", 1), ("points", 3)):
        config = replace(finished[0], attack=replace(finished[0].attack, labels=labels))
        changed = (config, finished[1])
        found = asked(changed, tmp_path / f"cpu {labels}", batch_size=2)
        with monkeypatch.context() as patch:
            patch.setattr(PickShard, "on_gpu", True)
            patch.setattr(Graphed, "__call__", counted)
            assert found.equals(asked(changed, tmp_path / f"gpu {labels}", batch_size=2))
        assert set(calls) == {tensors}
        calls.clear()


def test_a_network_that_may_wait_for_the_gpu_is_not_recorded(
    finished: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("recorded")

    monkeypatch.setattr(PickShard, "on_gpu", True)
    monkeypatch.setattr(Graphed, "__call__", refused)
    monkeypatch.setattr(Prepared, "is_fixed", False)
    assert asked(finished, tmp_path).num_rows == 14


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_score_that_finds_no_number_for_a_shown_image_is_an_error_row(
    finished: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_gpu: bool
) -> None:
    def refuse(*_: Any) -> None:
        raise DivergedError("not finite")

    monkeypatch.setattr(PickShard, "on_gpu", on_gpu)
    monkeypatch.setattr(PickShard, "_recorded", None)
    monkeypatch.setattr(FlipMargin, "__call__", refuse)
    if not on_gpu:  # then the scores of all images are asked for so
        with pytest.raises(DivergedError, match="every image"):
            asked(finished, tmp_path)
        return
    assert len(set(asked(finished, tmp_path)["image_id"].to_pylist())) == 7 - 4
    errors = open_campaign(tmp_path).root.read_table("errors.parquet")
    assert errors.num_rows == 4


def test_snapshots_without_the_module_that_a_score_looks_at_are_refused(
    finished: tuple[Config, Path], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"2\.pt was trained without the LossModule"):
        asked(finished, tmp_path, method="llal")


def test_methods_ask_for_different_points(finished: tuple[Config, Path], tmp_path: Path) -> None:
    found = {
        method: tuple(
            map(
                tuple,
                asked(finished, tmp_path / method, method=method).select(["x", "y"]).to_pydict().values(),
            )
        )
        for method in METHODS.known
        if method not in TRAINED
    }
    assert len(set(found.values())) == len(found)


def test_an_own_method_runs_a_campaign_and_appears_in_its_report(
    finished: tuple[Config, Path], tmp_path: Path
) -> None:
    folder = finished[1].parent
    config = parsed(
        tiny_config(folder / "train", (folder / "test",)),
        [*OWN, "--query.far-apart.cells", "6", "--regions.slic.compactness", "20"],
        "test",
    )
    campaign = run_campaign(config, tmp_path / "run")
    assert_finished(campaign, 2)
    page = campaign.root.read_bytes("report.html").decode()
    assert "Points were chosen by own_plugins:Spread" in page
    assert "Score of the query (own_plugins:Disagreement)" in page
    assert "cells: 6" in page
    assert "compactness: 20.0" in page
    assert run_campaign(config, tmp_path / "run").root == campaign.root  # the same plan, read from its file


@pytest.mark.parametrize(
    "options",
    [
        ["--query.method", "outside_plugins:Deep"],
        ["--query.score", "outside_plugins:Bald", "--query.strategy", "outside_plugins:Badge"],
        pytest.param(
            ["--query.score", "outside_plugins:Bald", "--query.strategy", "top"], marks=pytest.mark.slow
        ),
    ],
)
def test_one_file_of_a_user_brings_every_kind_of_plug_in(
    finished: tuple[Config, Path], tmp_path: Path, options: list[str]
) -> None:
    folder = finished[1].parent
    rest = ["--regions.method", "outside_plugins:Slic", "--data.metrics", "outside_plugins:Dice", "iou"]
    config = parsed(tiny_config(folder / "train", (folder / "test",)), [*options, *rest], "test")
    campaign = run_campaign(config, tmp_path / "run")
    assert_finished(campaign, 2)
    page = campaign.root.read_bytes("report.html").decode()
    for name in options[1::2]:
        assert name in page
    for shown in ("outside_plugins:Slic", "Dice ↑", "IoU ↑"):
        assert shown in page
    metrics = campaign.round(1).read_json("metrics.json")["test"]["ensemble"]["own"]
    dice, iou = metrics["outside_plugins:Dice"], metrics["iou"]
    assert 0 <= iou <= dice <= 1
    sides = Path(outside_plugins.__file__).read_text().splitlines()
    assert len([line for line in sides if line.strip() and not line.startswith(("import", "from"))]) <= 60


def test_what_a_round_cost_is_counted_and_shown(finished: tuple[Config, Path]) -> None:
    config, folder = finished
    campaign = open_campaign(folder)
    first, last = (campaign.round(number).read_json("cost.json") for number in (0, 1))
    images, cycles = 7, config.train.cycles
    assert first["training"]["passes"] == images * config.train.epochs
    assert first["training"]["device_seconds"] == first["training"]["wall_seconds"] > 0
    assert first["query"]["passes"] == {
        "gradient": images * config.attack.steps,
        "plain": images * (2 * cycles - 1),
        "decoder": 0,
    }
    assert 0 < first["query"]["device_seconds"] < first["query"]["wall_seconds"]
    assert first["evaluation"]["wall_seconds"] > 0
    assert "query" not in last
    page = campaign.root.read_bytes("report.html").decode()
    assert "What it cost" in page
    assert f">{images * config.train.epochs}<" in page


def test_a_deep_ensemble_trains_networks_apart(finished: tuple[Config, Path], tmp_path: Path) -> None:
    folder = finished[1].parent
    config = tiny_config(folder / "train", (folder / "test",))
    config = replace(
        config,
        train=replace(config.train, ensemble="networks"),
        query=QueryConfig(method="den", shard_size=3),
    )
    campaign = run_campaign(config, tmp_path / "run")
    assert_finished(campaign, 2)
    snapshots = Path(campaign.root.uri, "round-00/snapshots")
    first, second = (torch.load(snapshots / f"{number}.pt", weights_only=True) for number in (1, 2))
    alike = {key for key in first if torch.equal(first[key], second[key])}
    assert not {key for key in first if key.endswith("weight")} & alike
    plan = replace(Generation.like(campaign.root.uri), images=str(folder / "test"), points=2)
    assert generate(plan, tmp_path / "points").round(0).count_rows(QUERIES) == 2 * 4
    assert "Points were chosen by den" in campaign.root.read_bytes("report.html").decode()


def test_a_centred_start_begins_in_the_middle(finished: tuple[Config, Path], tmp_path: Path) -> None:
    config, campaign = finished
    out = open_campaign(tmp_path).root
    centred = replace(config, budget=BudgetConfig(start=2, total=4, start_strategy="centre"))
    query(open_campaign(campaign), centred, START, out)
    manifest = {
        row["image_id"]: row
        for row in open_campaign(campaign).root.read_table("manifest.parquet").to_pylist()
    }
    for row in out.read_table(QUERIES).to_pylist():
        image = manifest[row["image_id"]]
        if row["order"] == 0:
            assert abs(row["x"] - image["width"] / 2) < image["width"] / 16
            assert abs(row["y"] - image["height"] / 2) < image["height"] / 16


def test_points_at_random_by_either_name(finished: tuple[Config, Path], tmp_path: Path) -> None:
    assert asked(finished, tmp_path / "a", method="random").equals(
        asked(finished, tmp_path / "b", strategy="random")
    )
    assert QueryConfig().method == "atal"
    assert all_points(open_campaign(finished[1]), 1)
