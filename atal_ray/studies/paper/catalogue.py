"""The paper's tables and figures as studies: what is compared, and what the paper says of it.

DEN is an ensemble of L networks, TEUE one network with L snapshots, CCLS the cyclic schedule, AATU the score
that looks at attacked images, RDS the diverse strategy, SP the superpixels that a click labels.
"""

from dataclasses import replace
from typing import Any

from atal_ray.config import Config
from atal_ray.studies.paper.arm import (
    ATAL,
    FULL,
    Arm,
    Claim,
    Kind,
    PaperStudy,
    at_ten,
    clicks_up_to,
    deep_ensemble,
    full_masks,
    of_query,
    pixels,
)
from atal_ray.studies.paper.methods_of_paper import BASELINES, RIVALS, campaign_of, name_of

VANILLA, DEN, TRIANGLE, CYCLES = "vanilla", "DEN", "TEUE without CCLS", "TEUE with CCLS"
NO_RDS = "ATAL without RDS"
SHARE: tuple[Kind, float] = ("share", 0.97)
NETWORKS = ("f3net", "minet", "pfsnet")


def _table1(base: Config, _: tuple[str, ...]) -> list[Arm]:
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


def _table2(base: Config, _: tuple[str, ...]) -> list[Arm]:
    base, arms = at_ten(base), []
    for name in NETWORKS if base.network.name in NETWORKS else (base.network.name,):
        of = replace(base, network=replace(base.network, name=name))
        arms += [Arm(f"{name}, ATAL", of, (of.budget.total,)), Arm(f"{name}, {FULL}", full_masks(of))]
    return arms


def _fig6(base: Config, _: tuple[str, ...]) -> list[Arm]:
    base = at_ten(base)
    at = (base.budget.total,)
    chosen = {ATAL: base, "ENT": campaign_of(base, "ent"), "random": campaign_of(base, "random")}
    return [*(Arm(name, config, at) for name, config in chosen.items()), Arm(FULL, full_masks(base))]


def _table4(base: Config, _: tuple[str, ...]) -> list[Arm]:
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


def _fig4(base: Config, _: tuple[str, ...]) -> list[Arm]:
    base = at_ten(base)
    triangle = replace(base, train=replace(base.train, schedule="triangular"))
    at = (base.budget.total,)
    return [Arm(CYCLES, base, at), Arm(TRIANGLE, triangle, at)]


def _fig7(base: Config, methods: tuple[str, ...]) -> list[Arm]:
    clicks = clicks_up_to(base, base.budget.total)
    wanted = {ATAL: base.query.method, **RIVALS, **BASELINES, **{name_of(one): one for one in methods}}
    campaigns = {name: campaign_of(base, method) for name, method in wanted.items()}
    return [*(Arm(name, config, clicks) for name, config in campaigns.items()), Arm(FULL, full_masks(base))]


def _fig8(base: Config, _: tuple[str, ...]) -> list[Arm]:
    clicks = clicks_up_to(base, base.budget.total)
    return [Arm(ATAL, base, clicks), Arm(NO_RDS, of_query(base, strategy="top"), clicks)]


def _sensitivity(base: Config, _: tuple[str, ...]) -> list[Arm]:
    base = at_ten(base)
    at, query, attack = (base.budget.total,), base.query, base.attack
    arms = [Arm(ATAL, base, at)]
    arms += [
        Arm(f"K = {percent:g} %", of_query(base, top_percent=percent), at)
        for percent in (1.0, 5.0, 10.0)
        if percent != query.top_percent
    ]
    for epsilon in (attack.epsilon / 2, attack.epsilon * 2):
        arms.append(
            Arm(f"epsilon = {epsilon:.4f}", replace(base, attack=replace(attack, epsilon=epsilon)), at)
        )
    for pieces in (base.regions.superpixels // 2, base.regions.superpixels * 2):
        changed = replace(base, regions=replace(base.regions, superpixels=pieces))
        arms.append(Arm(f"{pieces} superpixels", changed, at))
    return arms


STUDIES = {
    "table1": PaperStudy(
        "Table 1: what an ensemble costs and brings",
        _table1,
        (
            Claim("Table 1", "DEN is better than vanilla training", DEN, VANILLA),
            Claim("Table 1", "TEUE with CCLS is as good as DEN, for 1/N of the cost", CYCLES, DEN, "alike"),
            Claim("Table 1", "without CCLS the ensemble degrades", CYCLES, TRIANGLE),
        ),
        published={
            VANILLA: (0.7254, 0.7367, 0.7852, 0.7768),
            DEN: (0.7716, 0.7930, 0.8383, 0.8325),
            TRIANGLE: (0.7336, 0.7483, 0.7964, 0.7875),
            CYCLES: (0.7708, 0.7921, 0.8374, 0.8326),
        },
    ),
    "table2": PaperStudy(
        "Table 2: networks at ten clicks beside their own full supervision",
        _table2,
        tuple(
            Claim("Table 2", f"{name} reaches 97 %", f"{name}, ATAL", f"{name}, {FULL}", *SHARE)
            for name in NETWORKS
        ),
    ),
    "table4": PaperStudy(
        "Table 4: what each component brings",
        _table4,
        (
            Claim("Table 4", "AATU improves DEN", "2: DEN, AATU", "1: DEN"),
            Claim("Table 4", "TEUE is similar to DEN", "3: TEUE, AATU", "2: DEN, AATU", "alike"),
            Claim("Table 4", "RDS improves on top-k", "4: TEUE, AATU, RDS", "3: TEUE, AATU"),
            Claim("Table 4", "superpixels improve on pixels", "5: TEUE, AATU, RDS, SP", "4: TEUE, AATU, RDS"),
            Claim(
                "Table 4", "all components are necessary: AATU", "5: TEUE, AATU, RDS, SP", "5 without AATU"
            ),
            Claim("Table 4", "all components are necessary: RDS", "5: TEUE, AATU, RDS, SP", "5 without RDS"),
        ),
        published={
            "1: DEN": (0.7562, 0.7682, 0.8261, 0.8126),
            "2: DEN, AATU": (0.7716, 0.7930, 0.8383, 0.8325),
            "3: TEUE, AATU": (0.7708, 0.7921, 0.8374, 0.8326),
            "4: TEUE, AATU, RDS": (0.7814, 0.8015, 0.8479, 0.8421),
            "5: TEUE, AATU, RDS, SP": (0.7908, 0.8131, 0.8624, 0.8586),
        },
    ),
    "fig4": PaperStudy(
        "Figure 4: snapshots with and without CCLS",
        _fig4,
        (Claim("Fig. 4b", "CCLS alleviates the homogenization of snapshots", CYCLES, TRIANGLE, "diverse"),),
        parts=("deltas",),
    ),
    "fig6": PaperStudy("Figure 6: predictions side by side", _fig6, parts=("pictures",)),
    "fig7": PaperStudy(
        "Figure 7: methods of active learning over clicks",
        _fig7,
        (
            *(Claim("Fig. 7", f"ATAL outperforms {name}", ATAL, name) for name in RIVALS),
            Claim("Fig. 7", "97 % of full supervision at ten clicks", ATAL, FULL, *SHARE),
        ),
        curves=True,
    ),
    "fig8": PaperStudy(
        "Figure 8: the number of clicks, and where they lie with and without RDS",
        _fig8,
        (Claim("Fig. 8b", "RDS conquers the oversampling issue", ATAL, NO_RDS, "spread"),),
        curves=True,
        parts=("places",),
    ),
    "sensitivity": PaperStudy(
        "Sensitivity: K, epsilon and superpixels",
        _sensitivity,
        tuple(
            Claim("parameter study", f"K = 3 % is best: better than {percent} %", ATAL, f"K = {percent} %")
            for percent in (1, 5, 10)
        ),
    ),
}
"""By the names on the command line."""
