"""Campaigns by other methods than the paper's, and by a user's own."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from campaigns import all_points, assert_finished, open_campaign, tiny_config

from atal_ray.acquisition.registered import METHODS
from atal_ray.campaign.campaign_folder import QUERIES, START
from atal_ray.campaign.generate import Generation, generate
from atal_ray.campaign.query.ask import query
from atal_ray.campaign.run import run_campaign
from atal_ray.commands.plans import parsed
from atal_ray.config import BudgetConfig, Config, QueryConfig
from atal_ray.labels.points import RANDOM, UNATTACKED

OWN = ["--query.method", "own_plugins:Spread", "--regions.method", "own_plugins:Slic"]
QUICK = [
    pytest.param(name, marks=() if name in ("den", "pixelpick", "foreground", "grid") else pytest.mark.slow)
    for name in METHODS.known
    if name != "atal"
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


def test_methods_ask_for_different_points(finished: tuple[Config, Path], tmp_path: Path) -> None:
    found = {
        method: tuple(
            map(
                tuple,
                asked(finished, tmp_path / method, method=method).select(["x", "y"]).to_pydict().values(),
            )
        )
        for method in METHODS.known
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
