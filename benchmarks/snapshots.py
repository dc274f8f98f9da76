"""The trained snapshots that the query's benchmarks share: one small campaign on real images, made where it
is not there yet.
"""

import dataclasses
from pathlib import Path

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.config import Config, config_file, presets
from atal_ray.store.folder import Folder

IMAGES, SIZE, POINTS, EPOCHS, CYCLES = 80, 224, 10, 10, 5


def configure(train: Path, weights: Path) -> Config:
    """F3Net-ResNet-50 on a few random points an image, five snapshots; weights of a ResNet that strides on
    its 1x1 convolutions.
    """
    base = presets.cpu_small()
    return dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, train=str(train), tests=(), limit=IMAGES),
        network=dataclasses.replace(base.network, name="f3net", weights=str(weights), stride_on="1x1"),
        train=dataclasses.replace(
            base.train, size=SIZE, scales=(160, 192, SIZE), epochs=EPOCHS, cycles=CYCLES, threads=2
        ),
        budget=dataclasses.replace(base.budget, total=POINTS, start=POINTS, per_round=POINTS),
    )


def trained(train: Path, weights: Path, folder: Path) -> tuple[CampaignFolder, Config]:
    """The finished campaign; minutes on two cores the first time."""
    config, made = config_file.absolute(configure(train, weights)), CampaignFolder(Folder(str(folder)))
    if not made.is_committed(0):
        run_campaign(config, folder)
    return made, config
