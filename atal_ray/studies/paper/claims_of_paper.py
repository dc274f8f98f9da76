"""What the paper says of its tables and figures, about the arms that a base campaign gives."""

from collections.abc import Callable, Sequence
from itertools import permutations

from atal_ray.config import Config
from atal_ray.studies.paper.arm import ATAL, FULL, Claim, at_ten
from atal_ray.studies.paper.arms_of_paper import (
    CYCLES,
    DEN,
    NO_RDS,
    TRIANGLE,
    VANILLA,
    axes_of_sensitivity,
    finished,
    on_points_of,
    printed,
    starred,
    with_networks,
)
from atal_ray.studies.paper.methods_of_paper import RIVALS

OF_FULL, TRANSFERRED, FINISHED = 0.97, 0.96, 0.99
"""Shares of full supervision: of Fig. 7 and Table 2, the least of Table 3, and what a finish is for."""
WHOLE = "5: TEUE, AATU, RDS, SP"

TABLE_1 = (
    Claim("Table 1", "DEN is better than vanilla training", DEN, VANILLA),
    Claim("Table 1", "TEUE with CCLS is as good as DEN, for 1/N of the cost", CYCLES, DEN, "alike"),
    Claim("Table 1", "without CCLS the ensemble degrades", CYCLES, TRIANGLE),
)
TABLE_4 = (
    Claim("Table 4", "AATU improves DEN", "2: DEN, AATU", "1: DEN"),
    Claim("Table 4", "TEUE is similar to DEN", "3: TEUE, AATU", "2: DEN, AATU", "alike"),
    Claim("Table 4", "RDS improves on top-k", "4: TEUE, AATU, RDS", "3: TEUE, AATU"),
    Claim("Table 4", "superpixels improve on pixels", WHOLE, "4: TEUE, AATU, RDS"),
    Claim("Table 4", "all components are necessary: AATU", WHOLE, "5 without AATU"),
    Claim("Table 4", "all components are necessary: RDS", WHOLE, "5 without RDS"),
)
FIGURE_4 = (Claim("Fig. 4b", "CCLS alleviates the homogenization of snapshots", CYCLES, TRIANGLE, "diverse"),)
FIGURE_7 = (
    *(Claim("Fig. 7", f"ATAL outperforms {name}", ATAL, name) for name in RIVALS),
    Claim("Fig. 7", "97 % of full supervision at ten clicks", ATAL, FULL, "share", OF_FULL),
)
FIGURE_8 = (
    Claim("Fig. 8b", "RDS conquers the oversampling issue", ATAL, NO_RDS, "spread"),
    Claim("Fig. 8b", "RDS obtains a set of diverse points", ATAL, NO_RDS, "cover"),
)


def always(claims: Sequence[Claim]) -> Callable[[Config], Sequence[Claim]]:
    """Claims that do not depend on the base campaign."""
    return lambda base: claims


def of_table2(base: Config) -> list[Claim]:
    """Of each network: the paper's share of full supervision, and what the finish is for."""
    claims = []
    for of in with_networks(at_ten(base)):
        name, ours, best = printed(of), starred(of), finished(of)
        claims += [
            Claim("Table 2", f"{name} reaches 97 %", ours, name, "share", OF_FULL),
            Claim("beyond the paper", f"a finish improves {name}", best, ours),
            Claim("beyond the paper", f"{name} reaches 99 % when finished", best, name, "share", FINISHED),
        ]
    return claims


def of_table3(base: Config) -> list[Claim]:
    """Of each network and each other one whose points it is trained on."""
    return [
        Claim(
            "Table 3",
            f"points of {printed(source)} train {printed(of)}",
            on_points_of(of, source),
            printed(of),
            "share",
            TRANSFERRED,
        )
        for source, of in permutations(with_networks(at_ten(base)), 2)
    ]


def of_sensitivity(base: Config) -> list[Claim]:
    """K = 3 % against the other values that are tried."""
    arms = axes_of_sensitivity(base)["K"]
    best = arms.pop("3 %")
    return [
        Claim("parameter study", f"K = 3 % is best: better than {value}", best, other)
        for value, other in arms.items()
    ]
