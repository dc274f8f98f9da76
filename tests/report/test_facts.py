from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import BudgetConfig, Config, DataConfig, NetworkConfig, QueryConfig
from atal_ray.report.facts import facts, notices
from atal_ray.report.numbers import read_numbers

Make = Callable[..., tuple[CampaignFolder, Config]]


def test_facts_name_what_was_run(make: Make) -> None:
    campaign, config = make(tests=("b", "a"))
    found = facts(config, read_numbers(campaign, config))
    assert found["Images"] == "4"
    assert found["Rounds"] == "2 of 2"
    assert found["Points an image"] == "3 of 3"
    assert found["Test sets"] == "a, b"
    assert found["Labels"] == "propagate, from oracle"
    assert f"torch {version('torch')}" in found["Versions"]


def test_a_plain_campaign_says_only_its_errors(make: Make) -> None:
    campaign, config = make()
    assert [notice.text for notice in notices(config, read_numbers(campaign, config))] == [
        "2 errors on the way, listed under Errors."
    ]


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"data": DataConfig()}, "note", "Drawn images"),
        ({"query": QueryConfig(strategy="random", top_percent=10)}, "note", "chosen by atal with random"),
        (
            {"budget": BudgetConfig(start=2, per_round=1, total=3, annotator="answers")},
            "note",
            "tables of answers",
        ),
        ({"network": NetworkConfig(weights="random")}, "note", "random weights"),
        ({"budget": BudgetConfig(start=2, per_round=1, total=9)}, "warning", "Unfinished: 2 of 8 rounds"),
    ],
)
def test_notices_name_what_differs(make: Make, change: dict[str, Any], level: str, words: str) -> None:
    campaign, config = make()
    numbers = read_numbers(campaign, config)
    found = notices(replace(config, **change), numbers)
    assert [notice.level for notice in found if words in notice.text] == [level]


@pytest.mark.parametrize(
    ("labels", "level"), [("oracle_mask", "warning"), ("dense", "warning"), ("none", "note")]
)
def test_notices_name_the_label_mode(make: Make, labels: str, level: str) -> None:
    campaign, config = make(rounds=1, labels=labels)
    assert notices(config, read_numbers(campaign, config))[0].level == level
