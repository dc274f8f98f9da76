"""The campaign that the parts share: real images with superpixels and six labelled points each."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from atal_ray import seeding
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, CampaignFolder
from atal_ray.config import Config, presets
from atal_ray.config.resources import Backend
from atal_ray.data.images import read_mask
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import Record, records
from atal_ray.labels.points import POINT_SCHEMA, PointIndex
from atal_ray.store.folder import Folder
from atal_ray.training.samples import Samples
from gpu_parts.setup import Setup

CLICKS = 6


def made(setup: Setup, *, backend: Backend = "inline", **training: Any) -> tuple[CampaignFolder, Config]:
    """The campaign ready to train its first round, made where it is not there yet, and its configuration.

    Args:
        setup: data and sizes.
        backend: "inline" or "ray".
        training: changes of the train section.
    """
    campaign = CampaignFolder(Folder(str((setup.work / "campaign").resolve())))
    config = configured(setup, backend, training)
    if campaign.round(0).exists(POINTS):
        return campaign, config
    manifest = build_manifest(setup.data, limit=setup.images, verify=False).table
    rows = records(manifest, campaign.training_data(config))
    superpixels = campaign.superpixels(config)
    with ThreadPoolExecutor() as threads:
        list(threads.map(superpixels.get, rows))
        clicks = [row for rows in threads.map(clicked, rows) for row in rows]
    campaign.root.write_table(MANIFEST, manifest)
    campaign.round(0).write_table(POINTS, pa.Table.from_pylist(clicks, POINT_SCHEMA))
    return campaign, config


def configured(setup: Setup, backend: Backend, training: dict[str, Any]) -> Config:
    """The paper's setting at one side, for a few epochs."""
    base = presets.paper()
    train = {"size": setup.side, "scales": (setup.side,), "batch_size": setup.batch, **training}
    weights = str(setup.weights.resolve()) if setup.weights else None if setup.small else "random"
    return dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, train=str(setup.data.resolve()), tests=()),
        network=dataclasses.replace(
            base.network,
            stride_on=setup.stride_on,
            name=setup.networks[0],
            weights=None if setup.small else weights,
        ),
        train=dataclasses.replace(base.train, **train),
        resources=dataclasses.replace(base.resources, backend=backend),
    )


def clicked(record: Record) -> list[dict[str, Any]]:
    """Points at random pixels of an image, with the labels of its mask."""
    mask, random = read_mask(str(record.mask)), seeding.rng("gpu", record.image_id)
    places = random.choice(mask.size, CLICKS, replace=False)
    rest = {"round": 0, "score": 0.0, "superpixel": 0, "source": "seed", "image_id": record.image_id}
    return [
        {"x": int(x), "y": int(y), "label": int(mask[y, x]), "order": order, **rest}
        for order, (y, x) in enumerate(zip(*np.unravel_index(places, mask.shape), strict=True))
    ]


def samples_of(campaign: CampaignFolder, config: Config) -> Samples:
    """The images of the first round."""
    points = PointIndex(campaign.points(0))
    manifest, data = campaign.root.read_table(MANIFEST), campaign.training_data(config)
    return Samples(manifest, points, campaign.superpixels(config), data, config, 0)
