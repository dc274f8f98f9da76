"""The campaigns of each table and figure of the paper, made of a base campaign.

DEN is an ensemble of L networks, TEUE one network with L snapshots, CCLS the cyclic schedule, AATU the score
that looks at attacked images, RDS the diverse strategy, SP the superpixels that a click labels.
"""

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

from atal_ray.config import Config
from atal_ray.studies.paper.arm import (
    ATAL,
    CHOSEN,
    FULL,
    Arm,
    Source,
    at_ten,
    clicks_up_to,
    deep_ensemble,
    full_masks,
    of_query,
    pixels,
)
from atal_ray.studies.paper.methods_of_paper import BASELINES, RIVALS, campaign_of, name_of
from atal_ray.studies.sweep.plan import with_fields

VANILLA, DEN, TRIANGLE, CYCLES = "vanilla", "DEN", "TEUE without CCLS", "TEUE with CCLS"
NO_RDS = "ATAL without RDS"
PRINTED = {"minet": "MINet", "f3net": "F3Net", "pfsnet": "PFSN"}
"""Networks of Tables 2 and 3, as the paper writes them, in its order."""
NARROW = 8
"""Width of the second network where the base has the small one."""


def table1(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """Ensembles of networks and of snapshots, at equal clicks."""
    base = at_ten(base)

    def of(**train: Any) -> Config:
        return replace(base, train=replace(base.train, **train))

    at = (base.budget.total,)
    return [
        Arm(VANILLA, of(cycles=1, schedule="triangular"), at),
        Arm(DEN, deep_ensemble(base), at),
        Arm(TRIANGLE, of(schedule="triangular"), at),
        Arm(CYCLES, base, at),
    ]


def table2(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """Each network at ten clicks, finished, and on full masks."""
    base, arms = at_ten(base), []
    for of in with_networks(base):
        clicks, full = of.budget.total, full_masks(of)
        arms += [
            Arm(starred(of), of, (clicks,)),
            Arm(finished(of), full, (clicks,), Source(of, finished=True)),
            Arm(printed(of), full),
        ]
    return arms


def table3(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """Each network on the points that each of them chose, and on full masks."""
    networks = with_networks(at_ten(base))
    arms = [Arm(printed(of), full_masks(of)) for of in networks]
    for source in networks:
        at = (source.budget.total,)
        for of in networks:
            if of == source:
                arms.append(Arm(starred(of), of, at))
            else:
                points = replace(of, data=replace(of.data, points=CHOSEN))
                arms.append(Arm(on_points_of(of, source), points, at, Source(source)))
    return arms


def with_networks(base: Config) -> list[Config]:
    """The base campaign with each network of the paper; with the small one, in two widths."""
    network = base.network
    if network.name in PRINTED:
        return [replace(base, network=replace(network, name=name)) for name in PRINTED]
    if network.name != "f3net-small":
        return [base]
    narrow = NARROW if network.width != NARROW else 2 * NARROW
    return [base, replace(base, network=replace(network, width=narrow))]


def printed(config: Config) -> str:
    """A network by the name that the paper prints, which stands for its full supervision."""
    width = f" of width {config.network.width}" if config.network.width else ""
    return PRINTED.get(config.network.name, config.network.name) + width


def starred(config: Config) -> str:
    """A network on the points of its own campaign, as the paper prints it."""
    return f"{printed(config)}*{config.budget.total}"


def finished(config: Config) -> str:
    """The finish of its own campaign."""
    return f"{starred(config)}, finished"


def on_points_of(config: Config, source: Config) -> str:
    """A network on the points of another."""
    return f"{printed(config)} on {starred(source)}"


def fig5(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """ATAL alone, whose maps are shown."""
    base = at_ten(base)
    return [Arm(ATAL, base, (base.budget.total,))]


def fig6(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """ATAL, a rival, random points and full masks."""
    base = at_ten(base)
    at = (base.budget.total,)
    chosen = {ATAL: base, "ENT": campaign_of(base, "ent"), "random": campaign_of(base, "random")}
    return [*(Arm(name, config, at) for name, config in chosen.items()), Arm(FULL, full_masks(base))]


def table4(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """Components added one by one, and each left out of the whole."""
    base = at_ten(base)
    at, pixel = (base.budget.total,), pixels(base)
    aatu = of_query(pixel, strategy="top")
    return [
        Arm("1: DEN", of_query(deep_ensemble(pixel), score="entropy", strategy="top"), at),
        Arm("2: DEN, AATU", deep_ensemble(aatu), at),
        Arm("3: TEUE, AATU", aatu, at),
        Arm("4: TEUE, AATU, RDS", pixel, at),
        Arm("5: TEUE, AATU, RDS, SP", base, at),
        Arm("5 without AATU", of_query(base, score="entropy"), at),
        Arm("5 with DEN for TEUE", deep_ensemble(base), at),
        Arm("5 without RDS", of_query(base, strategy="top"), at),
    ]


def fig4(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """Snapshots of one network with and without CCLS."""
    base = at_ten(base)
    triangle = replace(base, train=replace(base.train, schedule="triangular"))
    at = (base.budget.total,)
    return [Arm(CYCLES, base, at), Arm(TRIANGLE, triangle, at)]


def fig7(base: Config, methods: tuple[str, ...]) -> list[Arm]:
    """ATAL, its rivals, the baselines, and other methods, over clicks; and full masks."""
    clicks = clicks_up_to(base, base.budget.total)
    wanted = {ATAL: base.query.method, **RIVALS, **BASELINES, **{name_of(one): one for one in methods}}
    campaigns = {name: campaign_of(base, method) for name, method in wanted.items()}
    return [*(Arm(name, config, clicks) for name, config in campaigns.items()), Arm(FULL, full_masks(base))]


def fig8(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """ATAL with and without RDS, over clicks."""
    clicks = clicks_up_to(base, base.budget.total)
    return [Arm(ATAL, base, clicks), Arm(NO_RDS, of_query(base, strategy="top"), clicks)]


def sensitivity(base: Config, _: tuple[str, ...]) -> list[Arm]:
    """ATAL, and one parameter at a time with other values."""
    arms = {arm.name: arm for values in _axes(base).values() for arm in values.values()}
    return [arms.pop(ATAL), *arms.values()]


def axes_of_sensitivity(base: Config) -> dict[str, dict[str, str]]:
    """Parameter -> value -> name of the arm."""
    return {
        parameter: {value: arm.name for value, arm in values.items()}
        for parameter, values in _axes(base).items()
    }


def _axes(base: Config) -> dict[str, dict[str, Arm]]:
    """Parameter -> value -> arm, the base's own value among them."""
    base = at_ten(base)
    at, found = (base.budget.total,), {}
    for parameter, (field, tried, written) in _tried(base).items():
        own = attrgetter(field)(base)
        found[parameter] = {
            written(value): Arm(ATAL, base, at)
            if value == own
            else Arm(f"{parameter} = {written(value)}", with_fields(base, {field: value}), at)
            for value in sorted({own, *tried})
        }
    return found


def _tried(base: Config) -> dict[str, tuple[str, list[Any], Callable[[Any], str]]]:
    """Parameter -> its field, values that are tried, and how one is written."""
    epochs, attack, pieces = base.train.epochs, base.attack, base.regions.superpixels
    return {
        "K": ("query.top_percent", [1.0, 3.0, 5.0, 10.0], "{:g} %".format),
        "L": ("train.cycles", [number for number in range(1, 11) if epochs % number == 0], str),
        "epsilon": ("attack.epsilon", [attack.epsilon / 2, attack.epsilon * 2], _of_255),
        "steps": ("attack.steps", [1, 2 * attack.steps], str),
        "superpixels": ("regions.superpixels", [pieces // 2, pieces * 2], str),
    }


def _of_255(value: float) -> str:
    return f"{255 * value:g} / 255"
