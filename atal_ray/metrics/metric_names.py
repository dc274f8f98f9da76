"""Metrics by the names that a table gives them."""

METRIC_LABELS = {
    "max_f": ("maxF", True),
    "s_measure": ("S-measure", True),
    "mae": ("MAE", False),
    "f_of_mean_pr": ("F of mean P and R", True),
    "f_adaptive": ("adaptive F", True),
    "f_mean": ("mean F", True),
    "f_max": ("max of mean F", True),
    "weighted_f": ("weighted F", True),
    "e_soft": ("soft E", True),
    "e_adaptive": ("adaptive E", True),
    "e_mean": ("mean E", True),
    "e_max": ("max E", True),
}
"""Scalar fields of `Metrics` -> the name in a table, and whether higher is better."""
