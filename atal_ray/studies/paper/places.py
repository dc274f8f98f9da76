"""What a study measures besides maxF: how much snapshots differ, and how the points of an image lie."""

from statistics import fmean

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atal_ray.campaign.campaign_folder import TRAINING, CampaignFolder

NEAR = 5.0
"""Pixels within which two points of an image ask nearly the same."""
GRID = 24
"""Cells of each side of the density of places."""


def mean_delta(campaign: CampaignFolder, number: int) -> float:
    """Mean change delta (Eq. 7) from a snapshot to the next, over those of a round; 0 for a single one."""
    epochs = campaign.round(number).read_json(TRAINING)["epochs"]
    found = [entry["delta"] for entry in epochs if "delta" in entry]
    return fmean(found) if found else 0.0


def share_alone(campaign: CampaignFolder, number: int) -> float:
    """Share of the points up to a round that have no other of their image within `NEAR` pixels."""
    points = campaign.points(number)
    alone = [alone_of(xy) for xy in by_image(points)]
    return float(np.concatenate(alone).mean()) if alone else 1.0


def alone_of(xy: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which points [N, 2] have no other within `NEAR` pixels [N]."""
    apart = np.linalg.norm(xy[:, None].astype(float) - xy[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(1, initial=np.inf) > NEAR)


def by_image(points: pa.Table) -> list[NDArray[np.int64]]:
    """Column and row of the points of each image, one array [N, 2] an image."""
    ids = points["image_id"].to_numpy().astype(str)
    xy = np.stack([points["x"].to_numpy(), points["y"].to_numpy()], 1).astype(np.int64)
    order = np.argsort(ids, kind="stable")
    starts = np.flatnonzero(np.r_[True, ids[order][1:] != ids[order][:-1]][: len(ids)])
    return np.split(xy[order], starts[1:]) if len(ids) else []
