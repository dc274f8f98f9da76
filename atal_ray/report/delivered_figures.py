"""What a finished campaign has delivered, in sentences: those that people read first."""

from typing import Any

from atal_ray.campaign.campaign_folder import METRICS
from atal_ray.errors import counted
from atal_ray.store.folder import Folder

FINAL = "final"
"""The folder of a campaign in which its finish is looked for."""
Figures = dict[str, Any]


def delivered_in(folder: Folder) -> list[str]:
    """The sentences about the finish of a campaign; none where there is no whole one in final/."""
    final = folder / FINAL
    return sentences(final.read_json(METRICS)) if final.exists(METRICS) else []


def sentences(figures: Figures) -> list[str]:
    """What the user gets, test set by test set."""
    beside, shares = figures["full_masks"], figures["shares"]
    found = []
    for name, ours in figures["network"].items():
        share = beside["share"].get(name) if beside else None
        taught = figures["snapshots"].get(name)
        parts = [f"{figures['clicks']:.4g} clicks an image, {name}: {_three(ours)}"]
        if share:
            of = "full masks" if beside["on_full_masks"] else beside["campaign"]
            parts.append(f"{share['max_f']:.1%} and {share['s_measure']:.1%} of {of} in maxF and S")
        if taught:
            parts.append(f"the snapshots that asked have {_three(taught)}")
        found.append("; ".join(parts))
    masks = f"{counted(figures['images'], 'mask')}: the teacher is sure of {shares['sure']:.1%} of the pixels"
    if shares["wrong"] is not None:
        masks += f", and {shares['wrong']:.1%} are on the other side than the true masks"
    return [*found, masks]


def _three(metrics: Figures) -> str:
    return f"maxF {metrics['max_f']:.3f}, S {metrics['s_measure']:.3f}, MAE {metrics['mae']:.3f}"
