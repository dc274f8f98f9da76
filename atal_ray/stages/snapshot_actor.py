"""An actor that holds the snapshots of a round."""

from functools import cached_property
from typing import Literal

import torch

from atal_ray.campaign_folder import CampaignFolder
from atal_ray.config import Config
from atal_ray.networks.inputs import choose_device
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshots import read_snapshots
from atal_ray.uncertainty.inference import prepare_snapshots


class SnapshotActor:
    """Base of the actors that predict; computes with the threads and on the device of the configuration.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots are read.
        precision: what the networks compute with; the evaluation's figures are those of float32.
    """

    def __init__(
        self, campaign: CampaignFolder, config: Config, round_number: int, precision: Literal["float32", "bfloat16"] = "float32"
    ) -> None:
        torch.set_num_threads(config.query.threads)
        self.campaign, self.config, self.round_number = campaign, config, round_number
        self.precision: Literal["float32", "bfloat16"] = precision
        self.device = choose_device(config.resources.gpus)

    @cached_property
    def snapshots(self) -> list[SaliencyNetwork]:
        """The round's networks, prepared; read at the first shard: Ray hides what a constructor raises."""
        read = read_snapshots(self.campaign.snapshots(self.round_number), self.config, torch.device("cpu"))
        prepared = prepare_snapshots(read, self.config.train.size, self.precision)
        return [network.to(self.device) for network in prepared]
