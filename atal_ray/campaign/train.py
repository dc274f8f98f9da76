"""Stage: points and images -> L snapshots, kept as snapshots/1.pt .. L.pt."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import pyarrow as pa
import torch

from atal_ray import networks, seeding
from atal_ray.acquisition.registered import METHODS
from atal_ray.acquisition.trained import build_member, is_held_out
from atal_ray.campaign.campaign_folder import MANIFEST, TRAIN_RUN, TRAINING, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.labels.points import PointIndex, concat
from atal_ray.runtime.capacity import cores
from atal_ray.runtime.workers import TrainWorker, WorkerGroup, run_training, snapshot_folder
from atal_ray.store.mapped import write_mapped
from atal_ray.store.streamed import row_groups
from atal_ray.training.loader import threads_for
from atal_ray.training.loop import WorkerContext, train_round
from atal_ray.training.samples import Samples
from atal_ray.training.snapshot_files import LOG, WEIGHTS


def train(campaign: CampaignFolder, config: Config, round_number: int, called: str | None = None) -> None:
    """Train on all points up to this round; writes snapshots/1.pt .. L.pt and, last, training.json.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round.
        called: what people know it as; unset: by its number.
    """
    folder = campaign.round(round_number)
    run_training(
        partial(train_worker, campaign=campaign, config=config, round_number=round_number),
        WorkerGroup.of_training(config),
        folder / TRAIN_RUN,
        epochs=config.train.epochs,
        title=f"{called or f'round {round_number}'}: training",
    )
    _collect(campaign, round_number, config.train.cycles)


def train_worker(worker: TrainWorker, campaign: CampaignFolder, config: Config, round_number: int) -> None:
    """One data-parallel worker of a round; goes on from the last snapshot that was kept."""
    torch.set_num_threads(config.train.threads)
    cv2.setNumThreads(1)  # images are loaded side by side, not one by many threads
    first = partial(_first_network, campaign, config, round_number)
    with TemporaryDirectory() as scratch:
        train_round(
            first(),
            read_samples(campaign, config, round_number, Path(scratch)),
            config,
            context=with_loader(worker.context, config),
            resume=worker.restore(),
            wrap=worker.wrap,
            on_snapshot=worker.save,
            on_epoch=lambda entry: worker.finished(int(entry["epoch"]) + 1),
            renew=first if config.train.ensemble == "networks" else None,
        )


def read_samples(campaign: CampaignFolder, config: Config, round_number: int, scratch: Path) -> Samples:
    """The images and targets that a round trains on; manifest and points are mapped into memory.

    Args:
        campaign: the folder.
        config: the configuration.
        round_number: the round.
        scratch: a local folder, which must stay as long as the samples are used.
    """
    images = write_mapped(scratch / "manifest", row_groups(campaign.root, MANIFEST), MANIFEST_SCHEMA)
    read = campaign.images_with_points(range(round_number + 1))
    parts = (trained_on(concat(points), config) for _, points in read)
    return Samples(
        pa.Table.from_batches(images, MANIFEST_SCHEMA),
        PointIndex.on_disk(parts, scratch / "points"),
        campaign.superpixels(config),
        campaign.training_data(config),
        config,
        round_number,
    )


def with_loader(context: WorkerContext, config: Config) -> WorkerContext:
    """The context with the number of threads that load."""
    busy = 1 if context.device.type == "cuda" else config.train.threads
    threads = threads_for(
        config.resources.loader_workers, cores=cores(), busy=busy, workers=context.local_world
    )
    return replace(context, loader_threads=threads)


def _first_network(
    campaign: CampaignFolder, config: Config, round_number: int, cycle: int = 0
) -> networks.SaliencyNetwork:
    """The network that a round, or a cycle with a network of its own, starts from: new weights by the seed,
    or with warm start the last snapshot before.
    """
    torch.manual_seed(seeding.derive(config.seed, "weights", *([cycle] if cycle else [])) % 2**63)
    warm = config.train.warm_start and round_number > 0
    network = build_member(config, cycle + 1, load_weights=not warm)
    if warm:
        own = cycle + 1 if config.train.ensemble == "networks" else config.train.cycles
        last = campaign.snapshots(round_number - 1).read_bytes(f"{own}.pt")
        networks.load_snapshot(network, last)
    return network


def trained_on(points: pa.Table, config: Config) -> pa.Table:
    """The points without those that the method keeps from all networks, to judge them by."""
    share = METHODS.find(config.query.method).held_out if config.asks else 0.0
    if not share:
        return points
    rows = zip(*(points[name].to_pylist() for name in ("image_id", "x", "y")), strict=True)
    return points.filter(pa.array([not is_held_out(share, config.seed, *row) for row in rows], pa.bool_()))


def _collect(campaign: CampaignFolder, round_number: int, cycles: int) -> None:
    """Move the weights from the folder of the run to the round's; training.json says that all of them are
    there.
    """
    folder = campaign.round(round_number)
    run = folder / TRAIN_RUN
    for number in range(1, cycles + 1):
        campaign.snapshots(round_number).copy(snapshot_folder(run, number), WEIGHTS, f"{number}.pt")
    folder.write_bytes(TRAINING, snapshot_folder(run, cycles).read_bytes(LOG))
    run.delete()
