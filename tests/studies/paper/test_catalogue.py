"""Every study can be made at every scale, and its claims are about its arms."""

from dataclasses import replace

import pytest

from atal_ray.errors import ConfigError
from atal_ray.studies.paper.arm import at_ten, full_masks
from atal_ray.studies.paper.catalogue import STUDIES
from atal_ray.studies.paper.scales import base_of
from atal_ray.studies.paper.study import Studies, listed


@pytest.mark.parametrize("scale", ["tiny", "small", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_arms_have_names_and_claims_are_about_them(name: str, scale: str) -> None:
    study, base = STUDIES[name], base_of(scale)
    arms = {arm.name: arm for arm in study.arms(base, ())}
    assert len(arms) == len(study.arms(base, ()))
    claims = study.claims(base)
    assert {one for claim in claims for one in (claim.arm, claim.other)} <= arms.keys()
    assert len({(claim.says, claim.arm) for claim in claims}) == len(claims)
    assert study.published.keys() <= arms.keys()
    for arm in arms.values():
        budget = arm.config.budget
        reached = {budget.points_at(number) for number in range(arm.config.rounds)}
        assert set(arm.clicks) <= reached or not arm.config.asks


def test_equal_clicks_are_ten_or_as_near_as_rounds_come() -> None:
    assert at_ten(base_of("paper")).budget.total == 10
    assert at_ten(base_of("small")).budget.total == 10
    assert at_ten(base_of("tiny")).budget.total == 4


def test_full_masks_are_trained_as_long_as_a_network_that_goes_on_from_round_to_round() -> None:
    base = base_of("small")
    on = replace(base, train=replace(base.train, warm_start=True))
    assert full_masks(base).train.epochs == base.train.epochs
    assert full_masks(on).train.epochs == 3 * base.train.epochs
    assert not full_masks(on).train.warm_start


@pytest.mark.parametrize(("per_round", "total"), [(3, 8), (4, 10), (2, 20)])
def test_claims_are_about_arms_whatever_the_budget(per_round: int, total: int) -> None:
    base = base_of("paper")
    base = replace(base, budget=replace(base.budget, per_round=per_round, total=total))
    at = at_ten(base).budget.total
    assert STUDIES["table2"].claims(base)[0].arm == f"MINet*{at}"
    assert len(STUDIES["table3"].claims(base)) == 6


def test_the_best_k_is_three_percent_whatever_the_base_has() -> None:
    base = base_of("paper")
    other = replace(base, query=replace(base.query, top_percent=5.0))
    claims = STUDIES["sensitivity"].claims(other)
    assert [(claim.arm, claim.other) for claim in claims] == [
        ("K = 3 %", "K = 1 %"),
        ("K = 3 %", "ATAL"),
        ("K = 3 %", "K = 10 %"),
    ]


def test_two_widths_of_the_small_network_differ() -> None:
    base = base_of("tiny")
    narrow = replace(base, network=replace(base.network, width=8))
    for one in (base, narrow):
        assert len({arm.name for arm in STUDIES["table3"].arms(one, ())}) == 6


def test_a_method_from_outside_is_one_more_curve() -> None:
    plan = Studies.of("fig7", "tiny")
    ours = {arm.name for arm in plan.arms()["fig7"]}
    more = replace(plan, methods=("own_plugins:Spread", "grid"))
    assert {arm.name for arm in more.arms()["fig7"]} - ours == {"own_plugins:Spread", "grid"}


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="'fig9' is no study"):
        Studies.of("fig9", "tiny")
    with pytest.raises(ConfigError, match="scale is 'large': use tiny, small or paper"):
        Studies.of("fig7", "large")
    with pytest.raises(ConfigError, match="studies holds fig9"):
        Studies(studies=("fig9",))
    assert "table4" in listed()
    assert Studies.of("all", "small").studies == tuple(STUDIES)
