"""Fields in YAML are taken in either spelling, and a mistyped one is answered with the one that was meant."""

import re

import pytest

from atal_ray.config import Config, ResourceConfig
from atal_ray.config.config_file import from_yaml, tree_from_yaml
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.config.field_names import likely, paths
from atal_ray.errors import ConfigError
from atal_ray.studies.cross_validation import CrossValidation
from atal_ray.studies.sweep.plan import Sweep, with_fields


def refusal(text: str, kind: type = Config) -> str:
    with pytest.raises(ConfigError) as refused:
        tree_from_yaml(kind, text, "my.yaml")
    return str(refused.value)


def test_every_field_is_taken_as_the_command_line_and_as_python_spells_it() -> None:
    for field in paths(Config):
        section, _, name = field.rpartition(".")
        default = getattr(getattr(Config(), section) if section else Config(), name)
        value = list(default) if isinstance(default, tuple) else default
        for spelling in (name, name.replace("_", "-")):
            text = f"{section}: {{{spelling}: {value!r}}}" if section else f"{spelling}: {value!r}"
            assert from_yaml(text.replace("None", "null").replace("True", "true").replace("False", "false"))
    assert from_yaml("query: {top-percent: 4}").query.top_percent == 4
    assert from_yaml("query: {top_percent: 4}").query.top_percent == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sede: 2", "sede: there is no such field, did you mean seed?"),
        ("train: {wokers: 2}", "train.wokers: there is no such field, did you mean train.workers?"),
        ("qery: {top_percent: 2}", "qery: there is no such field"),
        (
            "query: {top-percnt: 2}",
            "query.top-percnt: there is no such field, did you mean query.top_percent?",
        ),
        ("top-percent: 2", "top-percent: there is no such field, did you mean query.top_percent?"),
        ("threads: 2", "threads: there is no such field, did you mean train.threads or query.threads?"),
        ("zzz: 2", "zzz: there is no such field"),
        (
            "query: {top-percent: 2, top_percent: 3}",
            "query.top_percent: it is there twice, as top_percent and",
        ),
    ],
)
def test_a_mistyped_field_is_answered_with_the_right_one(text: str, sentence: str) -> None:
    assert refusal(text).startswith(f"my.yaml: {sentence}")


def test_every_mistake_is_named_at_once() -> None:
    assert refusal("sede: 1\ntrain: {wokers: 2}").count("did you mean") == 2


def test_plans_of_other_commands_are_read_the_same_way() -> None:
    sweep = tree_from_yaml(
        Sweep, "over: ['seed=0,1']\nkeep-one-in: 4\ncampaign: {train: {lr-max: 0.2}}", "plan"
    )
    assert (sweep.keep_one_in, sweep.campaign.train.lr_max) == (4, 0.2)
    assert "did you mean campaign.train.workers?" in refusal(
        "campaign: {train: {wokers: 2}}", CrossValidation
    )
    assert "did you mean mask_threshold?" in refusal("mask-treshold: 3", EvaluationConfig)


def test_labels_of_nodes_are_no_fields() -> None:
    found = from_yaml("resources: {scoring-nodes: {my-role: fast}}").resources
    assert found == ResourceConfig(scoring_nodes={"my-role": "fast"})


def test_a_field_that_is_given_twice_is_refused() -> None:
    assert re.search(
        r"is not valid YAML: the field seed is given twice\s+in .*line 2", refusal("seed: 1\nseed: 2")
    )
    assert "the field cycles is given twice" in refusal("train:\n  cycles: 1\n  cycles: 2\n")


def test_an_axis_of_a_sweep_names_what_was_meant() -> None:
    with pytest.raises(
        ConfigError, match=r"did you mean query\.top_percent\? `atal config paper` lists them"
    ):
        with_fields(Config(), {"query.top_percnt": 3})


def test_nothing_is_guessed_from_far_away() -> None:
    assert likely(Config, "query.zzzzzz") == ""
