"""The paper's tables and figures as studies, by their names on the command line, and what the paper says."""

from atal_ray.studies.paper.arm import ATAL, FULL, Claim, Kind, PaperStudy
from atal_ray.studies.paper.arms_of_paper import (
    CYCLES,
    DEN,
    NO_RDS,
    PRINTED,
    TRIANGLE,
    VANILLA,
    axes_of_sensitivity,
    fig4,
    fig5,
    fig6,
    fig7,
    fig8,
    sensitivity,
    table1,
    table2,
    table3,
    table4,
)
from atal_ray.studies.paper.methods_of_paper import RIVALS

SHARE: tuple[Kind, float] = ("share", 0.97)
TRANSFER: tuple[Kind, float] = ("share", 0.96)
"""Table 3 prints 96.1 to 97.5 %."""
OURS = "beyond the paper"

STUDIES = {
    "table1": PaperStudy(
        "Table 1: what an ensemble costs and brings",
        table1,
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
        table2,
        tuple(
            claim
            for name in PRINTED.values()
            for claim in (
                Claim("Table 2", f"{name} reaches 97 %", f"{name}*10", name, *SHARE),
                Claim(OURS, f"a finish improves {name}", f"{name}*10, finished", f"{name}*10"),
                Claim(
                    OURS, f"{name} reaches 99 % when finished", f"{name}*10, finished", name, "share", 0.99
                ),
            )
        ),
        parts=("layout",),
    ),
    "table3": PaperStudy(
        "Table 3: points that one network chose for the training of another",
        table3,
        tuple(
            Claim("Table 3", f"points of {source} train {name}", f"{name} on {source}*10", name, *TRANSFER)
            for source in PRINTED.values()
            for name in PRINTED.values()
            if source != name
        ),
        parts=("cross",),
    ),
    "table4": PaperStudy(
        "Table 4: what each component brings",
        table4,
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
        fig4,
        (Claim("Fig. 4b", "CCLS alleviates the homogenization of snapshots", CYCLES, TRIANGLE, "diverse"),),
        parts=("training",),
    ),
    "fig5": PaperStudy(
        "Figure 5: uncertainty before and after the attack, and the points", fig5, parts=("maps",)
    ),
    "fig6": PaperStudy("Figure 6: predictions side by side", fig6, parts=("pictures",)),
    "fig7": PaperStudy(
        "Figure 7: methods of active learning over clicks",
        fig7,
        (
            *(Claim("Fig. 7", f"ATAL outperforms {name}", ATAL, name) for name in RIVALS),
            Claim("Fig. 7", "97 % of full supervision at ten clicks", ATAL, FULL, *SHARE),
        ),
        curves=True,
    ),
    "fig8": PaperStudy(
        "Figure 8: the number of clicks, and where they lie with and without RDS",
        fig8,
        (
            Claim("Fig. 8b", "RDS conquers the oversampling issue", ATAL, NO_RDS, "spread"),
            Claim("Fig. 8b", "RDS obtains a set of diverse points", ATAL, NO_RDS, "cover"),
        ),
        curves=True,
        parts=("places",),
    ),
    "sensitivity": PaperStudy(
        "Sensitivity: K, L, the attack and superpixels",
        sensitivity,
        tuple(
            Claim("parameter study", f"K = 3 % is best: better than {percent} %", ATAL, f"K = {percent} %")
            for percent in (1, 5, 10)
        ),
        parts=("grid",),
        axes=axes_of_sensitivity,
    ),
}
"""By the names on the command line."""
