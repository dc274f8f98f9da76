"""An actor that holds the snapshots of a round."""

from functools import cached_property

import torch

from atal_ray.acquisition.estimate import attacked_side
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.config import AttackConfig, Config
from atal_ray.config.query import Precision
from atal_ray.inference.prepared import Traces, prepare_snapshots
from atal_ray.networks.inputs import choose_device
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshot_reader import read_snapshots

_TRACES: Traces = {}
"""Graphs for all stages of a process that runs them inline; an actor prepares its snapshots only once."""


class SnapshotActor:
    """Base of the actors that predict; computes with the threads and on the device of the configuration.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots are read.
        precision: what the networks compute with; the evaluation's figures are those of float32.
        attack: how the networks are attacked, if they are.
    """

    def __init__(
        self,
        campaign: CampaignFolder,
        config: Config,
        round_number: int,
        precision: Precision = "float32",
        attack: AttackConfig | None = None,
    ) -> None:
        torch.set_num_threads(config.query.threads)
        self.campaign, self.config, self.round_number = campaign, config, round_number
        self.precision: Precision = precision
        self.attack = attack
        self.device = choose_device(config.resources.gpus)

    @cached_property
    def snapshots(self) -> list[SaliencyNetwork]:
        """The round's networks, prepared; read at the first shard: Ray hides what a constructor raises."""
        read = read_snapshots(self.campaign.snapshots(self.round_number), self.config, torch.device("cpu"))
        side, query = self.config.train.size, self.config.query
        sides = [{side} for _ in read]
        if self.attack is not None:
            for attacked in sides[-1:] if self.attack.model == "last" else sides:
                attacked.add(attacked_side(side, self.attack.scale, read[-1].multiple))
        batch = min(query.batch_size, query.shard_size)
        traces = _TRACES if self.config.resources.backend == "inline" else None
        return [*prepare_snapshots(read, sides, batch, self.precision, self.device, traces=traces)]
