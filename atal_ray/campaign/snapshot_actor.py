"""An actor that holds the snapshots of a round."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TypeVar

import torch

from atal_ray.acquisition.asking import Asking
from atal_ray.acquisition.estimate import attacked_side
from atal_ray.acquisition.trained import build_member, networks_of
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.query.fitted_file import read_fitted
from atal_ray.config import AttackConfig, Config
from atal_ray.config.query import Precision
from atal_ray.inference.prepared import Traces, prepare_snapshots
from atal_ray.inference.trace_files import TraceFiles
from atal_ray.networks.inputs import choose_device
from atal_ray.networks.protocol import SaliencyNetwork
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.runtime.session import job_folder
from atal_ray.store.streamed import sha256
from atal_ray.store.work_ahead import work_ahead

Item = TypeVar("Item")
Looked = TypeVar("Looked")

_TRACES: Traces = {}
"""Graphs for all stages of a process that runs them inline."""

_PREPARED: dict[tuple[object, ...], list[SaliencyNetwork]] = {}
"""The snapshots that this process prepared last, for the next stage that wants the same."""


_THREAD = ThreadPoolExecutor(1)
"""Looks at the next batch on a GPU: one for all actors, as libraries keep what they tried for each thread."""


class SnapshotActor:
    """Base of the actors that predict; computes with the threads and on the device of the configuration.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round whose snapshots are read.
        asking: the method, where only some of the snapshots speak; unset: all of them.
        precision: what the networks compute with; the evaluation's figures are those of float32.
    """

    def __init__(
        self,
        campaign: CampaignFolder,
        config: Config,
        round_number: int,
        precision: Precision = "float32",
        asking: Asking | None = None,
    ) -> None:
        torch.set_num_threads(config.query.threads)
        self.campaign, self.config, self.round_number = campaign, config, round_number
        self.precision: Precision = precision
        self.asking = asking
        self.plain = asking is not None and asking.wants.plain
        attacked = asking is not None and asking.wants.attacked and config.attack.scale < 1
        self.smaller: AttackConfig | None = config.attack if attacked else None

    @cached_property
    def device(self) -> torch.device:
        """Where it computes; chosen at the first shard: Ray hides what a constructor raises."""
        return choose_device(self.config.resources.gpus)

    @cached_property
    def on_gpu(self) -> bool:
        """Whether the networks are on one."""
        return self.device.type == "cuda"

    def ahead(self, look: Callable[[Item], Looked], batches: Iterable[Item]) -> Iterator[Looked]:
        """What is seen of each batch, in order; on a GPU the next one is under way meanwhile."""
        return work_ahead(look, batches, _THREAD) if self.on_gpu else map(look, batches)

    @cached_property
    def snapshots(self) -> list[SaliencyNetwork]:
        """The round's networks, prepared; read at the first shard: Ray hides what a constructor raises."""
        numbers = self._speaking()
        folder, config = self.campaign.snapshots(self.round_number), self.config
        # the process of an actor ends with its stages: there a folder's snapshots do not change
        inline = config.resources.backend == "inline"
        which = [sha256(folder, f"{number}.pt") for number in numbers] if inline else [folder.uri, *numbers]
        ways = config.network, config.train.size, config.query, self.precision, self.smaller, self.plain
        wanted = (*which, *ways, str(self.device))
        if wanted not in _PREPARED:
            _PREPARED.clear()
            traces = _TRACES if inline else TraceFiles(job_folder() / "traces")
            _PREPARED[wanted] = self._prepare(numbers, traces)
        return _PREPARED[wanted]

    def _speaking(self) -> list[int]:
        """Numbers of the snapshots that are asked."""
        numbers = [*range(1, self.config.train.cycles + 1)]
        if self.asking is None:
            return numbers
        if self.asking.fits:
            self.asking.take(read_fitted(self.campaign.round(self.round_number)))
        return [*self.asking.speaking(numbers)]

    def _prepare(self, numbers: list[int], traces: Traces) -> list[SaliencyNetwork]:
        build = partial(build_member, self.config, load_weights=False, beside=self.plain)
        folder, cpu = self.campaign.snapshots(self.round_number), torch.device("cpu")
        read = read_snapshots(folder, self.config, cpu, numbers, build)
        if self.plain:
            return [network.to(self.device) for network in read]
        side, query = self.config.train.size, self.config.query
        sides = [{side} for _ in read]
        if self.smaller is not None:
            for attacked in sides[-1:] if self.smaller.model == "last" else sides:
                attacked.add(attacked_side(side, self.smaller.scale, read[-1].multiple))
        batch = min(query.batch_size, query.shard_size)
        made = networks_of(self.config)
        alike = len({made[number - 1] for number in numbers}) == 1  # then they are traced together
        groups = [(read, sides)] if alike else [([one], [own]) for one, own in zip(read, sides, strict=True)]
        return [
            prepared
            for some, own in groups
            for prepared in prepare_snapshots(some, own, batch, self.precision, self.device, traces=traces)
        ]
