"""One training on data-parallel workers: by Ray Train, or inline in this process; it goes on from its last
snapshot.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from atal_ray.config import Config
from atal_ray.networks.inputs import choose_device
from atal_ray.runtime.capacity import gpus_per_actor
from atal_ray.runtime.own_threads import own_threads
from atal_ray.runtime.progress import Progress, watch
from atal_ray.store.folder import Folder
from atal_ray.training.loop import TrainState, WorkerContext
from atal_ray.training.snapshot_files import LOG, read_state, state_files

RAY_BOOKS = "checkpoint_manager_snapshot.json"
"""The file of a run's folder that Ray Train resumes from."""


class TrainWorker(Protocol):
    """What one worker of a training may ask of the system that runs it."""

    context: WorkerContext

    def restore(self) -> TrainState | None:
        """The state after the last snapshot of an interrupted run, or None."""

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as one data-parallel model of all workers."""

    def save(self, number: int, state: TrainState) -> None:
        """Keep snapshot 1..L; every worker calls it, the first one's state is kept."""

    def finished(self, epochs: int) -> None:
        """So many epochs are done."""


Loop = Callable[[TrainWorker], None]


@dataclass(frozen=True)
class WorkerGroup:
    """How many workers train, the CPU threads of each, which GPUs, and the labels of the nodes they may run
    on.
    """

    backend: str
    workers: int
    threads: int
    gpus: str
    labels: Mapping[str, str] = field(default_factory=dict)
    wait_minutes: float = 0
    """For which a cluster that grows may leave it waiting."""

    @classmethod
    def of_training(cls, config: Config) -> "WorkerGroup":
        """The workers of a campaign's training."""
        where, train = config.resources, config.train
        return cls(
            where.backend, train.workers, train.threads, where.gpus, where.scoring_nodes, where.wait_minutes
        )

    @property
    def gpus_each(self) -> int:
        """GPUs of one worker on the Ray cluster."""
        return gpus_per_actor(self.gpus, self.labels)


def run_training(loop: Loop, group: WorkerGroup, run: Folder, *, epochs: int, title: str) -> None:
    """Run a training loop on every worker until it ends; a second call goes on from the last snapshot in
    `run`.

    Args:
        loop: called by each worker; must be picklable where Ray runs it.
        group: the workers.
        run: folder of this run alone; afterwards it holds snapshot-01 .. snapshot-L, each with `state_files`.
        epochs: of the whole training, for the progress bar.
        title: of the progress bar.

    Raises:
        AtalError: why the training failed.
    """
    with watch(run, epochs, title, "epoch"):
        if group.backend == "inline":
            _leave_ray(run)
            with own_threads():
                loop(InlineWorker(run, choose_device(group.gpus)))
        else:
            from atal_ray.runtime.ray_train import fit

            fit(loop, group, run, title)


def snapshot_folder(run: Folder, number: int) -> Folder:
    """Where a run keeps its snapshot 1..L."""
    return run / f"snapshot-{number:02d}"


def snapshots_of(run: Folder) -> int:
    """How many snapshots of a run are there."""
    number = 0
    while snapshot_folder(run, number + 1).exists(LOG):
        number += 1
    return number


def _leave_ray(run: Folder) -> None:
    """Take a run over that Ray Train began: it would go on from the snapshots that its books list, not from
    ours. Another one may be cut short, for Ray copies its files in any order.
    """
    if not run.exists(RAY_BOOKS):
        return
    books = run.read_bytes(RAY_BOOKS)
    for number in range(1, snapshots_of(run) + 1):
        folder = snapshot_folder(run, number)
        if f'"{folder.name}"'.encode() not in books:
            folder.delete()
    run.remove(RAY_BOOKS)


class InlineWorker:
    """The only worker of a training in this process.

    Args:
        run: the folder of the run.
        device: where the network is.
    """

    def __init__(self, run: Folder, device: torch.device) -> None:
        self.context = WorkerContext(device=device)
        self._run, self._progress = run, Progress(run)

    def restore(self) -> TrainState | None:
        """The state of the last snapshot whose files are all there."""
        number = snapshots_of(self._run)
        return read_state(snapshot_folder(self._run, number).read_bytes) if number else None

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network itself."""
        return network

    def save(self, number: int, state: TrainState) -> None:
        """Write the files of the state, the log last."""
        for name, data in state_files(state).items():
            snapshot_folder(self._run, number).write_bytes(name, data)

    def finished(self, epochs: int) -> None:
        """Leave the number of epochs for the progress bar."""
        self._progress.leave(epochs)
