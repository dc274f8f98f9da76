"""What a finished campaign delivers, in figures: metrics.json, and the sentences that people read first."""

import logging
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc

from atal_ray.campaign.campaign_folder import COST, MANIFEST, METRICS, POINTS, CampaignFolder
from atal_ray.campaign.cost import TEACHER_COST, TRAINING_COST, read_cost
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.campaign.finish.shares import SHARES
from atal_ray.report.compared import read_compared
from atal_ray.report.delivered_figures import sentences
from atal_ray.store.folder import Folder
from atal_ray.store.streamed import row_groups

BOTH = ("max_f", "s_measure")
"""Metrics whose share of full supervision is said."""
Figures = dict[str, Any]

logger = logging.getLogger(__name__)


def deliver(
    labelled: CampaignFolder, plan: Finish, final: Folder, trainings: Sequence[CampaignFolder]
) -> None:
    """Write cost.json, what each training took and its teacher, and metrics.json: of the network, of the
    snapshots that taught it, and of each training, test set by test set; clicks an image; means of the shares
    of pixels; and how near the network comes to full masks.
    """
    if final.exists(METRICS):
        known: Figures = final.read_json(METRICS)
    else:
        outs = {taught.root.name: taught.round(0) for taught in trainings}
        found = {name: of_ensemble(out.read_json(METRICS)) for name, out in outs.items()}
        costs = {name: read_cost(out) for name, out in outs.items()}
        final.write_json(
            COST,
            {
                name: {**cost.get(TRAINING_COST, {}), TEACHER_COST: cost.get(TEACHER_COST, {})}
                for name, cost in costs.items()
            },
        )
        teacher = labelled.round((plan.rounds or 1) - 1).read_json(METRICS)
        known = {
            "clicks": final.count_rows(POINTS) / max(1, labelled.root.count_rows(MANIFEST)),
            "images": final.count_rows(SHARES),
            "shares": _means(final),
            "network": found[trainings[-1].root.name],
            "snapshots": of_ensemble(teacher),
            "trainings": found,
        }
    final.write_json(METRICS, {**known, "full_masks": _full(plan.compare, known["network"])})


def of_ensemble(metrics: Figures) -> Figures:
    """Test set -> metrics of the mean of the snapshots."""
    return {name: members["ensemble"] for name, members in metrics.items()}


def _means(final: Folder) -> dict[str, float | None]:
    """The mean over images of each share; None where no image has it."""
    sums: dict[str, tuple[float, int]] = {}
    for table in row_groups(final, SHARES):
        for name in table.column_names[1:]:
            total, count = sums.get(name, (0.0, 0))
            sums[name] = total + (pc.sum(table[name]).as_py() or 0.0), count + pc.count(table[name]).as_py()
    return {name: total / count if count else None for name, (total, count) in sums.items()}


def _full(compare: str | None, network: Figures) -> Figures | None:
    """The network's share of the metrics of a campaign of full masks, on test sets of as many images."""
    if compare is None:
        return None
    (other,) = read_compared([compare])
    share: dict[str, dict[str, float]] = {}
    for name, ours in network.items():
        theirs = other.last(name)
        if theirs is None:
            continue
        if theirs.images != ours["images"]:
            images = ours["images"], theirs.images
            logger.warning("not compared on %s: %d images here, %d in %s", name, *images, compare)
            continue
        share[name] = {metric: ours[metric] / getattr(theirs, metric) for metric in BOTH}
    return {"campaign": other.name, "on_full_masks": other.is_dense, "share": share}


def summary(final: Folder) -> str:
    """What was delivered, for the terminal."""
    return "\n".join(sentences(final.read_json(METRICS)))
