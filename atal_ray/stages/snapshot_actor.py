"""An actor that holds the snapshots of a round."""

from functools import cached_property

import torch

from atal_ray.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.networks.inputs import choose_device
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshots import read_snapshots


class SnapshotActor:
    """Base of the actors that predict; computes with the threads and on the device of the configuration."""

    def __init__(self, campaign: CampaignFolder, config: Config, round_number: int) -> None:
        torch.set_num_threads(config.query.threads)
        self.campaign, self.config, self.round_number = campaign, config, round_number
        self.device = choose_device(config.resources.gpus)

    @cached_property
    def snapshots(self) -> list[SaliencyNetwork]:
        """The round's networks, read at the first shard: Ray hides what a constructor raises."""
        return read_snapshots(self.campaign.snapshots(self.round_number), self.config, self.device)
