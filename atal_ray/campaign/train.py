"""Stage: points and images -> L snapshots (Ray Train)."""

import json
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
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

from atal_ray import networks, seeding
from atal_ray.campaign.campaign_folder import MANIFEST, TRAIN_RUN, TRAINING, CampaignFolder
from atal_ray.config import Config
from atal_ray.errors import CampaignError, StoreError
from atal_ray.labels.points import PointIndex
from atal_ray.runtime.capacity import gpus_per_actor
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.progress import Progress, watch
from atal_ray.store.folder import Folder
from atal_ray.training.loop import Seat, TrainState, train_round
from atal_ray.training.samples import Samples

SNAPSHOT, REST = "snapshot.pt", "rest.pt"
BOOKS = "checkpoint_manager_snapshot.json"  # what Ray Train resumes from
RETRIES = 2


def train(campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """Train on all points up to this round; writes snapshots/1.pt .. L.pt and, last, training.json."""
    folder, where = campaign.round(round_number), config.resources
    gpus = gpus_per_actor(where.gpus, where.scoring_nodes)
    _drop_unusable_run(folder)
    system, path = folder.open()
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"campaign": campaign, "config": config, "round_number": round_number},
        scaling_config=ScalingConfig(
            num_workers=config.train.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": config.train.threads, **({"GPU": gpus} if gpus else {})},
            label_selector=where.scoring_nodes or None,
        ),
        run_config=RunConfig(
            name=TRAIN_RUN,
            storage_path=path,
            storage_filesystem=None if folder.is_local else system,
            failure_config=FailureConfig(max_failures=RETRIES),
            checkpoint_config=CheckpointConfig(),  # keeps every checkpoint: the trajectory is the ensemble
        ),
    )
    try:
        with watch(folder / TRAIN_RUN, config.train.epochs, f"round {round_number}: training", "epoch"):
            trainer.fit()
    except Exception as error:
        raise plain_error(error, f"training of round {round_number}") from error
    _collect(folder, config.train.cycles)


def train_worker(job: dict[str, Any]) -> None:
    """One data-parallel worker of a round; goes on from the last snapshot that was reported."""
    campaign, config, round_number = job["campaign"], job["config"], job["round_number"]
    torch.set_num_threads(config.train.threads)
    context, device = get_context(), get_device()
    seat = Seat(context.get_world_rank(), context.get_world_size(), device)
    network = _first_network(campaign, config, round_number).to(device)
    samples = Samples(
        campaign.root.read_table(MANIFEST),
        PointIndex(campaign.points(round_number)),
        campaign.superpixels(config),
        config,
        round_number,
    )
    resume, progress = _restore(get_checkpoint()), Progress(campaign.round(round_number) / TRAIN_RUN)
    train_round(
        network,
        samples,
        config,
        seat=seat,
        resume=resume,
        wrap=prepare_model,
        on_snapshot=lambda number, state: _report(number, state, seat.rank),
        on_epoch=lambda entry: progress.leave(int(entry["epoch"]) + 1) if seat.rank == 0 else None,
    )


def _first_network(campaign: CampaignFolder, config: Config, round_number: int) -> networks.SaliencyNetwork:
    torch.manual_seed(seeding.derive(config.seed, "weights") % 2**63)
    if config.train.warm_start and round_number > 0:
        network = networks.build(config.network, load_weights=False)
        networks.load_snapshot(
            network, campaign.snapshots(round_number - 1).read_bytes(f"{config.train.cycles}.pt")
        )
        return network
    return networks.build(config.network)


def _report(number: int, state: TrainState, rank: int) -> None:
    """Report a snapshot: a barrier for all workers, with the files from the first one."""
    entry, name = dict(state.log[-1]), f"snapshot-{number:02d}"
    if rank != 0:
        report(entry, checkpoint_dir_name=name)
        return
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state.network, Path(folder, SNAPSHOT))
        rest = {
            "optimizer": state.optimizer,
            "epochs_done": state.epochs_done,
            "log": state.log,
            "probe": state.probe,
        }
        torch.save(rest, Path(folder, REST))
        Path(folder, TRAINING).write_text(json.dumps({"epochs": state.log}))
        report(entry, checkpoint=Checkpoint.from_directory(folder), checkpoint_dir_name=name)


def _restore(checkpoint: Checkpoint | None) -> TrainState | None:
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        weights = torch.load(Path(folder, SNAPSHOT), weights_only=True, map_location="cpu")
        rest = torch.load(Path(folder, REST), weights_only=True, map_location="cpu")
    return TrainState(weights, **rest)


def _collect(folder: Folder, cycles: int) -> None:
    """Move the weights from Ray Train's folder to the round's; training.json says that all of them are there."""
    run = folder / TRAIN_RUN
    for number in range(1, cycles + 1):
        (folder / "snapshots").write_bytes(
            f"{number}.pt", (run / f"snapshot-{number:02d}").read_bytes(SNAPSHOT)
        )
    folder.write_bytes(TRAINING, (run / f"snapshot-{cycles:02d}").read_bytes(TRAINING))
    run.delete()


def _drop_unusable_run(folder: Folder) -> None:
    """Forget a run that Ray Train cannot go on with: cut short by a crash, or left by another version of Ray."""
    run = folder / TRAIN_RUN
    if run.exists(BOOKS):
        try:
            usable = run.read_json(BOOKS).get("ray_version") == ray.__version__
        except StoreError:  # says nothing about the run
            raise
        except CampaignError:
            usable = False
        if not usable:
            run.delete()
