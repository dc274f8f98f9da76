"""Axes become trials, budgets become one campaign, and what cannot be is named."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from campaigns import tiny_config

from atal_ray.config import BudgetConfig, Config, DataConfig, RegionConfig, ResourceConfig, config_file
from atal_ray.errors import ConfigError
from atal_ray.studies.sweep.plan import ALONE, Sweep, read_axis, with_fields

CAMPAIGN = tiny_config(Path("/data/train"), (Path("/data/ECSSD"), Path("/data/DUTS-TE")))


def plan(*over: str, **changes: Any) -> Sweep:
    return Sweep(over=over, campaign=dataclasses.replace(CAMPAIGN, **changes))


def test_trials_are_all_combinations_with_the_largest_budget():
    trials = plan(
        "query.top-percent=3,10", "budget.total=6,2,4", "train.cycles+train.epochs=[1,3],[2,4]"
    ).trials()
    fields = [(trial.config.query.top_percent, trial.config.train) for trial in trials]
    assert [(share, train.cycles, train.epochs) for share, train in fields] == [
        (3, 1, 3), (3, 2, 4), (10, 1, 3), (10, 2, 4),
    ]  # fmt: skip
    assert [trial.name for trial in trials][:2] == [
        "top_percent-3_cycles-1_epochs-3",
        "top_percent-3_cycles-2_epochs-4",
    ]
    assert {trial.config.budget.total for trial in trials} == {6}
    assert trials[0].fields == {"query.top_percent": 3, "train.cycles": 1, "train.epochs": 3}
    rest = dataclasses.replace(
        trials[0].config, train=CAMPAIGN.train, query=CAMPAIGN.query, budget=CAMPAIGN.budget
    )
    assert rest == CAMPAIGN


def test_budgets_are_ascending_and_by_default_the_campaign_s():
    assert plan("seed=0,1", "budget.total=6,2").totals == [2, 6]
    assert plan("seed=0,1").totals == [CAMPAIGN.budget.total]
    (alone,) = plan("budget.total=2,4,6").trials()
    assert (alone.name, alone.fields) == (ALONE, {})


def test_values_are_what_yaml_says():
    assert read_axis("query.cover-space=image, features").values == (("image",), ("features",))
    assert read_axis("train.scales=[96],[96,128]").values == (([96],), ([96, 128],))
    scales = [trial.config.train.scales for trial in plan("train.scales=[96],[96,128]").trials()]
    assert scales == [(96,), (96, 128)]
    assert [trial.config.attack.epsilon for trial in plan("attack.epsilon=1e-2,0.03").trials()] == [
        0.01,
        0.03,
    ]


def test_names_stay_apart():
    names = [trial.name for trial in plan("train.threads=1,2", "query.threads=1").trials()]
    assert names == ["train.threads-1_query.threads-1", "train.threads-2_query.threads-1"]
    assert [trial.name for trial in plan("network.name=/a/b:C,f3net").trials()] == [
        "name-a-b-C",
        "name-f3net",
    ]


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        ((), "over is empty"),
        (("query.top-percent",), "cannot be read: write FIELD=VALUE,VALUE"),
        (("query.top-percent=",), "cannot be read"),
        (("query.top-percent=[1",), "cannot be read"),
        (("query.top=1",), r"trial top-1: query.top is no field of the configuration"),
        (("query=1",), "query is no field"),
        (("seed.deep=1",), "seed.deep is no field"),
        (("query.top-percent=0",), r"trial top_percent-0: query.top-percent \(K\) is 0"),
        (
            ("query.top-percent=much",),
            "trial top_percent-much: .*query.top_percent: Input should be a valid number",
        ),
        (("train.cycles=4",), "trial cycles-4: train.epochs is 2"),
        (("budget.total=2,3.5",), r"budget.total=\[3.5\]: a budget is a whole number"),
        (("budget.total=2,5",), "budget.total 5 is not reached from 2"),
        (("budget.total+seed=[2,1]",), "budget.total cannot be varied together"),
        (("train.cycles+train.epochs=3,5",), "each value needs 2 parts in brackets"),
        (("resources.query-actors=1,2",), "resources.query_actors changes no result"),
        (("data.tests=[a],[b]",), "judged by different test sets"),
        (("budget.total=true",), "a budget is a whole number"),
        (("seed=1", "seed=2"), "names a field twice"),
        (("seed=1,1",), "two trials would be called seed-1"),
    ],
)
def test_what_cannot_be_is_named(over, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan(*over).check()


def test_a_sweep_compares_points_that_masks_answer_on_a_test_set():
    for changes, sentence in (
        ({"regions": RegionConfig(labels="dense")}, "asks for no points"),
        ({"budget": BudgetConfig(total=4, annotator="answers")}, "use budget.annotator oracle"),
        ({"data": DataConfig(train="/data/train")}, "data.tests is empty"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            plan("seed=0,1", **changes).check()
    with pytest.raises(ConfigError, match=r"test-set HKU-IS is not one of data\.tests: ECSSD, DUTS-TE"):
        dataclasses.replace(plan("seed=0,1"), test_set="HKU-IS").check()
    assert plan("seed=0,1").judge == "ECSSD"
    assert dataclasses.replace(plan("seed=0,1"), test_set="DUTS-TE").judge == "DUTS-TE"
    assert plan("seed=0,1", data=DataConfig()).judge == "test"  # the embedded data


@pytest.mark.parametrize("changes", [{"grace": 0}, {"keep_one_in": 1}, {"trials_at_once": 0}])
def test_impossible_settings(changes):
    with pytest.raises(ConfigError, match=next(iter(changes)).replace("_", "-")):
        Sweep(over=("seed=0",), **changes)


def test_asha_must_have_something_to_compare():
    for over, sentence in (
        (("seed=0,1", "budget.total=4"), "grace 4 spares every trial: it must be below the largest budget 4"),
        (("budget.per-round=1,2", "budget.total=6"), "not those of another .'budget.per_round'"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            dataclasses.replace(plan(*over, resources=ResourceConfig()), stop_early=True).check()
    with pytest.raises(ConfigError, match=r"trials that run at the same time: use resources\.backend ray"):
        dataclasses.replace(plan("seed=0,1"), stop_early=True, grace=2).check()


def test_paths_of_an_axis_are_the_same_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    trials = plan("network.weights=a.pth,random").trials()
    assert [trial.config.network.weights for trial in trials] == [f"{tmp_path}/a.pth", "random"]


def test_the_judge_has_the_name_under_which_its_metrics_are_kept(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert plan("seed=0,1", data=DataConfig(train="/a", tests=(str(tmp_path / "link"),))).judge == "real"
    assert (
        plan("seed=0,1", data=DataConfig(train="/a", tests=("s3://b/my%20set/?region=x",))).judge == "my set"
    )


def test_a_plan_survives_yaml():
    found = plan("query.top-percent=3,10", "train.scales=[96],[96,128]")
    assert config_file.tree_from_yaml(Sweep, config_file.to_yaml(found), "sweep.yaml") == found


def test_fields_are_set_without_touching_the_rest():
    changed = with_fields(Config(), {"train.scales": [96], "query.cover": "maxsum"})
    assert config_file.differences(Config(), changed) == [
        "train.scales: (224, 256, 288, 320, 352) -> (96,)", "query.cover: 'kcenter' -> 'maxsum'",
    ]  # fmt: skip
