"""A training on the workers of Ray Train, which starts dead ones again from the last snapshot."""

import tempfile
from pathlib import Path
from typing import Any

import ray
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    get_checkpoint,
    get_context,
    report,
)
from ray.train.torch import TorchTrainer, get_device, prepare_model
from torch import nn

from atal_ray.errors import CampaignError, StoreError
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.progress import Progress
from atal_ray.runtime.workers import RAY_BOOKS, Loop, WorkerGroup
from atal_ray.store import uri
from atal_ray.store.folder import Folder
from atal_ray.training.checkpoint import read_state, state_files
from atal_ray.training.loop import TrainState, WorkerContext

RETRIES = 2


def fit(loop: Loop, group: WorkerGroup, run: Folder, title: str) -> None:
    """Run the loop on the workers of a group; a second call goes on from Ray Train's folder `run`."""
    _drop_unusable(run)
    above, name = uri.split(run.uri)
    storage = Folder(above)
    system, path = storage.open()
    gpus = group.gpus_each
    trainer = TorchTrainer(
        _work,
        train_loop_config={"loop": loop, "run": run},
        scaling_config=ScalingConfig(
            num_workers=group.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": group.threads, **({"GPU": gpus} if gpus else {})},
            label_selector=dict(group.labels) or None,
        ),
        run_config=RunConfig(
            name=name,
            storage_path=path,
            storage_filesystem=None if storage.is_local else system,
            failure_config=FailureConfig(max_failures=RETRIES),
            checkpoint_config=CheckpointConfig(),  # keeps every checkpoint: the trajectory is the ensemble
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        raise plain_error(error, title) from error


def _work(job: dict[str, Any]) -> None:
    job["loop"](RayTrainWorker(job["run"]))


class RayTrainWorker:
    """One data-parallel worker of Ray Train; see `workers.TrainWorker`."""

    def __init__(self, run: Folder) -> None:
        context = get_context()
        self.context = WorkerContext(
            context.get_world_rank(),
            context.get_world_size(),
            get_device(),
            local_world=context.get_local_world_size(),
        )
        self._progress = Progress(run)

    def restore(self) -> TrainState | None:
        """The state of the last snapshot that was reported."""
        checkpoint = get_checkpoint()
        if checkpoint is None:
            return None
        with checkpoint.as_directory() as folder:
            return read_state(lambda name: Path(folder, name).read_bytes())

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network behind PyTorch's data-parallel module, if there are several workers."""
        model: nn.Module = prepare_model(network)
        return model

    def save(self, number: int, state: TrainState) -> None:
        """Report a snapshot: a barrier for all workers, with the files from the first one."""
        entry, name = dict(state.log[-1]), f"snapshot-{number:02d}"
        if self.context.rank != 0:
            report(entry, checkpoint_dir_name=name)
            return
        with tempfile.TemporaryDirectory() as folder:
            for file, data in state_files(state).items():
                Path(folder, file).write_bytes(data)
            report(entry, checkpoint=Checkpoint.from_directory(folder), checkpoint_dir_name=name)

    def finished(self, epochs: int) -> None:
        """Leave the number of epochs for the driver's progress bar."""
        if self.context.rank == 0:
            self._progress.leave(epochs)


def _drop_unusable(run: Folder) -> None:
    """Delete a run that Ray Train cannot go on with: cut short, or left by another version of Ray."""
    if not run.exists(RAY_BOOKS):
        return
    try:
        usable = run.read_json(RAY_BOOKS).get("ray_version") == ray.__version__
    except StoreError:  # says nothing about the run
        raise
    except CampaignError:
        usable = False
    if not usable:
        run.delete()
