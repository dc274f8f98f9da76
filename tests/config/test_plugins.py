"""Plug-ins that a configuration names: how they are found, and where their settings stand."""

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import yaml
from own_plugins import FarApart

from atal_ray.acquisition.registered import METHODS, SCORES, STRATEGIES
from atal_ray.acquisition.scores.certainty import Margin
from atal_ray.commands.plans import parsed, plan_of
from atal_ray.config import Config, QueryConfig, config_file
from atal_ray.config.plugins import Registry, section_of, settings_of
from atal_ray.errors import ConfigError
from atal_ray.studies.sweep.plan import Sweep, with_fields

PIXELPICK = ["--query.method", "pixelpick"]


@pytest.mark.parametrize("registry", [METHODS, SCORES, STRATEGIES], ids=lambda registry: registry.option)
def test_every_name_is_a_class_of_its_kind_that_says_what_it_does(registry: Registry[Any]) -> None:
    for name in registry.known:
        found = registry.find(name)
        assert found.__doc__
        assert registry.find(f"{found.__module__}:{found.__name__}") is found


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("entropie", r"query\.score is 'entropie', did you mean entropy\?: known are flip-margin"),
        (
            "no_such:Mine",
            r"'no_such:Mine', but it cannot be imported \(ModuleNotFoundError",
        ),
        ("own_plugins:FarApart", r"'own_plugins:FarApart', which is no class derived from PixelScore"),
    ],
)
def test_what_cannot_be_found_is_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SCORES.find(name)


def test_a_section_is_named_as_its_plug_in() -> None:
    assert section_of("top-share") == "top_share"
    assert section_of("own_plugins:FarApart") == "far_apart"


def test_settings_are_options_beside_the_field_that_names_the_plug_in() -> None:
    config = parsed(Config(), [*PIXELPICK, "--query.top-share.percent", "7"], "test")
    assert isinstance(config, Config)
    assert config.query.top_share.percent == 7
    assert parsed(Config(), PIXELPICK, "test").query.top_share.percent == 5
    assert (
        parsed(
            Config(), ["--query.method=own_plugins:Spread", "--query.far-apart.cells=9"], "test"
        ).query.far_apart.cells
        == 9
    )
    with pytest.raises(SystemExit):
        parsed(Config(), ["--query.top-share.percent", "7"], "test")


def test_a_plan_that_holds_a_campaign_has_them_too() -> None:
    sweep = plan_of("sweep", "demo", [*PIXELPICK, "--query.top-share.percent", "9", "--over", "seed=1,2"])
    assert isinstance(sweep, Sweep)
    assert [trial.config.query.top_share.percent for trial in sweep.trials()] == [9, 9]


def test_another_plug_in_has_no_settings_of_the_one_before() -> None:
    config = parsed(Config(), [*PIXELPICK, "--query.top-share.percent", "7"], "test")
    assert type(parsed(config, ["--query.method", "atal"], "test")) is Config
    kept = parsed(config, ["--seed", "3"], "test")
    assert (kept.seed, kept.query.top_share.percent) == (3, 7)


def test_yaml_holds_them_and_gives_them_back() -> None:
    config = parsed(Config(), [*PIXELPICK, "--query.top-share.percent", "7"], "test")
    text = config_file.to_yaml(config)
    assert yaml.safe_load(text)["query"]["top_share"] == {"percent": 7}
    assert config_file.from_yaml(text) == config
    assert config_file.from_yaml("query: {method: pixelpick, top-share: {percent: 7}}") == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("query: {top_share: {percent: 7}}", "query.top_share: there is no such field"),
        ("query: {method: pixelpick, top_share: {percents: 7}}", "query.top_share.percents"),
        ("query: {method: pixelpick, top_share: {percent: 0}}", "query.top-share.percent is 0"),
        ("query: {method: pixel}", "query.method is 'pixel'"),
    ],
)
def test_wrong_settings_are_named(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config_file.from_yaml(text, "mine.yaml")


def test_equal_ones_are_equal_in_any_process() -> None:
    config = parsed(Config(), PIXELPICK, "test")
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert type(again) is type(config)
    assert hash(again.query) == hash(config.query)
    assert config != Config(query=QueryConfig(method="pixelpick"))  # which has no settings to compare
    assert replace(config, seed=1) == replace(again, seed=1)


def test_differences_name_them() -> None:
    config = parsed(Config(), [*PIXELPICK, "--query.top-share.percent", "7"], "test")
    assert config_file.differences(parsed(Config(), PIXELPICK, "test"), config) == [
        "query.top_share.percent: 5.0 -> 7.0"
    ]


def test_a_sweep_varies_methods_and_their_settings() -> None:
    found = with_fields(Config(), {"query.method": "clasp", "query.power.beta": 4.0})
    assert found.query.power.beta == 4
    assert with_fields(found, {"query.method": "ent"}).query == QueryConfig(method="ent")


def test_one_built_in_python_has_the_defaults() -> None:
    kind = STRATEGIES.find("top-share")
    assert settings_of(QueryConfig(method="pixelpick"), "top-share", kind).percent == 5
    assert settings_of(QueryConfig(), "margin", Margin) is None


def test_a_tree_whose_plug_in_was_replaced_in_python_can_be_sent() -> None:
    config = parsed(Config(), [*PIXELPICK, "--query.top-share.percent", "7"], "test")
    changed = replace(config.query, method="clasp")
    assert pickle.loads(pickle.dumps(changed)).method == "clasp"


def test_a_part_is_unset_by_none_and_a_missing_word_is_left_to_the_parser() -> None:
    config = Config(query=QueryConfig(score="entropy"))
    assert parsed(config, ["--query.score", "None"], "test").query.score is None
    with pytest.raises(SystemExit):
        parsed(config, ["--query.method", "--seed", "1"], "test")


def test_two_plug_ins_cannot_share_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    namesake = type("TopShare", (Margin,), {"Settings": FarApart.Settings})
    monkeypatch.setattr("own_plugins.TopShare", namesake, raising=False)
    with pytest.raises(ConfigError, match=r"query\.top_share, which is taken: rename the class"):
        config_file.from_yaml("query: {score: 'own_plugins:TopShare', strategy: top-share}")


def test_settings_that_are_new_are_named_one_by_one() -> None:
    changed = parsed(Config(), [*PIXELPICK, "--query.top-share.percent", "7"], "test")
    assert config_file.differences(Config(), changed) == [
        "query.method: 'atal' -> 'pixelpick'",
        "query.top_share.percent: 5.0 -> 7.0",
    ]


@pytest.mark.parametrize(
    ("query", "train", "sentence"),
    [
        ({"method": "den"}, {}, r"query\.method den asks networks.*set train\.ensemble networks"),
        ({"method": "ent", "score": "bald"}, {}, r"query\.score bald compares several members"),
        ({"method": "bald"}, {"cycles": 1}, r"query\.score bald compares several members"),
        (
            {"method": "bald"},
            {"ensemble": "networks", "schedule": "poly"},
            r"it needs train\.schedule cyclic",
        ),
        ({"method": "ent", "scope": "dataset"}, {}, r"needs query\.strategy rds, not top, that of ent"),
    ],
)
def test_parts_that_do_not_fit_are_refused_at_once(
    query: dict[str, Any], train: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config_file.from_yaml(yaml.safe_dump({"query": query, "train": train}))


@pytest.mark.parametrize(
    "query", [{"method": "den"}, {"method": "bald"}, {"score": "bald"}, {"method": "ent", "strategy": "rds"}]
)
def test_parts_that_fit_are_taken(query: dict[str, Any]) -> None:
    config_file.from_yaml(yaml.safe_dump({"query": query, "train": {"ensemble": "networks"}}))


def test_a_method_is_named_without_loading_pytorch() -> None:
    code = (
        "import sys; from atal_ray.commands.plans import plan_of; "
        "plan_of('run', 'demo', ['--query.method', 'pixelpick']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
