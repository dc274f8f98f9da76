"""The paper's tables and figures as studies, by their names on the command line."""

from atal_ray.studies.paper import claims_of_paper as claims
from atal_ray.studies.paper.arm import PaperStudy
from atal_ray.studies.paper.arms_of_paper import (
    CYCLES,
    DEN,
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

STUDIES = {
    "table1": PaperStudy(
        "Table 1: what an ensemble costs and brings",
        table1,
        claims.always(claims.TABLE_1),
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
        claims.of_table2,
        parts=("layout",),
    ),
    "table3": PaperStudy(
        "Table 3: points that one network chose for the training of another",
        table3,
        claims.of_table3,
        parts=("cross",),
    ),
    "table4": PaperStudy(
        "Table 4: what each component brings",
        table4,
        claims.always(claims.TABLE_4),
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
        claims.always(claims.FIGURE_4),
        parts=("training",),
    ),
    "fig5": PaperStudy(
        "Figure 5: uncertainty before and after the attack, and the points", fig5, parts=("maps",)
    ),
    "fig6": PaperStudy("Figure 6: predictions side by side", fig6, parts=("pictures",)),
    "fig7": PaperStudy(
        "Figure 7: methods of active learning over clicks",
        fig7,
        claims.always(claims.FIGURE_7),
        curves=True,
    ),
    "fig8": PaperStudy(
        "Figure 8: the number of clicks, and where they lie with and without RDS",
        fig8,
        claims.always(claims.FIGURE_8),
        curves=True,
        parts=("places",),
    ),
    "sensitivity": PaperStudy(
        "Sensitivity: K, L, the attack and superpixels",
        sensitivity,
        claims.of_sensitivity,
        parts=("grid",),
        axes=axes_of_sensitivity,
    ),
}
"""By the names on the command line."""
