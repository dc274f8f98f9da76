"""A training on the workers of Ray Train; where one dies, all start again from the last snapshot."""

import logging
import tempfile
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    ControllerError,
    FailureConfig,
    RunConfig,
    ScalingConfig,
    get_checkpoint,
    get_context,
    report,
)
from ray.train.torch import TorchTrainer, get_device, prepare_model
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from torch import nn

from atal_ray.errors import CampaignError, StoreError
from atal_ray.runtime.failure import own_error, plain_error
from atal_ray.runtime.placement_groups import GroupRemover, remove_groups_of
from atal_ray.runtime.progress import Progress
from atal_ray.runtime.stop import handlers_kept
from atal_ray.runtime.workers import RAY_BOOKS, Loop, WorkerGroup, snapshots_of
from atal_ray.store import uri
from atal_ray.store.folder import Folder
from atal_ray.training.loop import TrainState, WorkerContext
from atal_ray.training.snapshot_files import read_state, state_files

DEATHS = 3
"""Of workers, without a new snapshot, after which a training is given up."""
START_TRIES = 10
"""To start the workers, of a minute each, at least."""

logger = logging.getLogger(__name__)


def fit(loop: Loop, group: WorkerGroup, run: Folder, title: str) -> None:
    """Run the loop on the workers of a group; a second call goes on from Ray Train's folder `run`.

    Raises:
        AtalError: what a worker raised for people, at once; or that workers die again and again.
    """
    _drop_unusable(run)
    deaths, done = 0, snapshots_of(run)
    while True:
        trainer = _trainer(loop, group, run)
        try:
            with handlers_kept():
                trainer.fit()
            return
        except Exception as error:
            before, done = done, snapshots_of(run)
            deaths = 1 if done > before else deaths + 1
            reason = _require_retry(error, group, title, deaths, done)
            logger.warning("%s; it goes on from snapshot %d", reason, done)
        finally:
            trainer.end()


def _require_retry(error: Exception, group: WorkerGroup, title: str, deaths: int, done: int) -> str:
    """Why a training ended, where it is worth to try again; AtalError where it is not."""
    own, reason = own_error(error), plain_error(error, title)
    if own is not None and not isinstance(own, StoreError):  # a store may be away for a moment
        raise own from error
    failure = error.controller_failure if isinstance(error, ControllerError) else None
    if "WorkerGroupStartup" in type(failure).__name__:
        raise CampaignError(
            f"{title}: for {_start_tries(group)} minutes no machine had room for its {group.workers} workers "
            f"of {group.threads} CPUs: bring machines back, then run the same command, which goes on "
            f"from snapshot {done}; fewer train.workers need another campaign"
        ) from error
    if failure is not None and not isinstance(failure, RayActorError):  # a worker may die as it starts
        raise reason from error
    if deaths == DEATHS and own is not None:  # what the store said
        raise own from error
    if deaths == DEATHS:
        raise CampaignError(
            f"{reason}. It did so {DEATHS} times without another snapshot, so it would again: look for what "
            "it needs more of, such as memory, then run the same command, which goes on from snapshot "
            f"{done}; a smaller train.batch-size needs another campaign"
        ) from error
    return str(reason)


def _start_tries(group: WorkerGroup) -> int:
    """How often Ray Train tries to start the workers, a minute each."""
    return max(START_TRIES, ceil(group.wait_minutes))


class _Trainer(TorchTrainer):  # type: ignore[misc]
    """A trainer that leaves Ctrl-C to the command, and no placement group behind."""

    controller: Any = None

    def _create_default_callbacks(self) -> list[Any]:
        """Ray's, with another that removes placement groups.

        Ray's own one knows nothing of a group whose workers die as they start, and where there is no
        dashboard to ask it holds up the end of every training for 12 seconds.
        """
        kept = [
            one
            for one in super()._create_default_callbacks()
            if not isinstance(one, PlacementGroupCleanerCallback)
        ]
        return [*kept, GroupRemover()]

    def _register_sigint_handler(self, controller: Any) -> None:
        """Ray's own handler waits for a graceful end, and stays when the training is over."""
        self.controller = controller

    def end(self) -> None:
        """End what is left of a training that was interrupted: Ray may outlive it."""
        if self.controller is not None:
            with suppress(Exception):  # Ray is gone, and the controller with it
                ray.kill(self.controller)
            with suppress(Exception):
                remove_groups_of(self.controller._actor_id.hex())


def _trainer(loop: Loop, group: WorkerGroup, run: Folder) -> _Trainer:
    above, name = uri.split(run.uri)
    storage = Folder(above)
    system, path = storage.open()
    gpus = group.gpus_each
    return _Trainer(
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
            # `fit` counts the deaths; what the workers raise for people must not be tried again
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=_start_tries(group)),
            checkpoint_config=CheckpointConfig(),  # keeps every checkpoint: the trajectory is the ensemble
        ),
    )


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
        self._run, self._progress = run, Progress(run)

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
            try:
                report(entry, checkpoint=Checkpoint.from_directory(folder), checkpoint_dir_name=name)
            except OSError as error:
                raise CampaignError(f"{self._run.where(name)} cannot be written: {error}") from error

    def finished(self, epochs: int) -> None:
        """Leave the number of epochs for the driver's progress bar."""
        if self.context.rank == 0:
            self._progress.leave(epochs)


def _drop_unusable(run: Folder) -> None:
    """Delete a run that Ray Train cannot go on with: cut short, begun inline, or left by another version of
    Ray.
    """
    if not run.exists(RAY_BOOKS):
        if snapshots_of(run):
            run.delete()
        return
    try:
        usable = run.read_json(RAY_BOOKS).get("ray_version") == ray.__version__
    except StoreError:  # says nothing about the run
        raise
    except CampaignError:
        usable = False
    if not usable:
        run.delete()
