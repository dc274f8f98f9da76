from typing import Any

import pytest

from atal_ray.config import config_file, presets
from atal_ray.errors import ConfigError


def test_paper_preset_has_the_numbers_of_the_paper() -> None:
    paper = presets.preset("paper")
    assert (paper.train.size, paper.train.cycles, paper.query.top_percent) == (352, 5, 3.0)
    assert (paper.budget.start, paper.budget.per_round, paper.budget.total, paper.rounds) == (2, 2, 20, 10)
    assert (paper.network.name, paper.train.schedule, paper.query.method) == ("f3net", "cyclic", "atal")


@pytest.mark.parametrize("name", presets.PRESETS)
def test_presets_can_be_saved_and_read(name: str) -> None:
    config = presets.preset(name)
    assert config_file.from_yaml(config_file.to_yaml(config)) == config
    assert (config.rounds == 1) == name.endswith("-full")


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("f3net", (352, (224, 256, 288, 320, 352), 32, 32, 0.05, 0.1, 0.9, 5e-4)),
        ("minet", (320, (320,), 50, 4, 0.001, 1.0, 0.9, 5e-4)),
        ("pfsnet", (352, (224, 256, 288, 320, 352), 50, 20, 0.05, 0.1, 0.9, 5e-4)),
    ],
)
def test_full_presets_have_the_published_numbers(name: str, numbers: tuple[Any, ...]) -> None:
    config = presets.preset(f"{name}-full")
    plan = config.train
    assert (config.network.name, config.regions.labels, config.asks, plan.cycles, plan.warm_start) == (
        name,
        "dense",
        False,
        1,
        False,
    )
    rates = (plan.lr_max, plan.backbone_ratio, plan.momentum, plan.weight_decay)
    assert (plan.size, plan.scales, plan.epochs, plan.batch_size, *rates) == numbers


def test_full_presets_name_the_published_losses_and_rules() -> None:
    plans = {name: presets.preset(f"{name}-full").train for name in ("f3net", "minet", "pfsnet")}
    assert {name: (plan.loss, plan.augment, plan.schedule) for name, plan in plans.items()} == {
        "f3net": ("bce+wiou", "crop", "triangular"),
        "minet": ("bce+cel", "rotate", "poly"),
        "pfsnet": ("bce+iou", "crop", "triangular"),
    }
    rules = {
        name: (plan.freeze_stem, plan.nesterov, plan.decay_on, plan.drop_last, plan.half)
        for name, plan in plans.items()
    }
    assert rules["f3net"] == rules["pfsnet"] == (True, True, "all", False, True)
    assert rules["minet"] == (False, False, "no-bias-no-bn", True, False)


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match=r"'papper' is neither a preset \(paper, cpu-small, demo, f3net-full, minet-full, pfsnet-full\) "
        "nor a YAML file",
    ):
        presets.preset("papper")
