"""A campaign's training as the train stage runs it, epoch by epoch, beside the bare step."""

import time
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.train import train_worker
from atal_ray.config import Config
from atal_ray.config.resources import Backend
from atal_ray.runtime.session import campaign_session
from atal_ray.runtime.workers import TrainWorker, WorkerGroup, run_training
from atal_ray.training.loop import TrainState
from gpu_parts.made import made, samples_of
from gpu_parts.setup import Note, Setup
from gpu_parts.step import BEST, BEST_COMPILED, COMPILED, VARIANTS, timed


def inline(setup: Setup, note: Note) -> None:
    """In this process."""
    measure(setup, note, "inline", compiled=False)


def on_ray(setup: Setup, note: Note) -> None:
    """By a worker of Ray Train."""
    measure(setup, note, "ray", compiled=False)


def inline_compiled(setup: Setup, note: Note) -> None:
    """In this process, with a compiled step."""
    measure(setup, note, "inline", compiled=True)


def measure(setup: Setup, note: Note, backend: Backend, *, compiled: bool) -> None:
    """Note images a second of the bare step and of later epochs, and the seconds of what is around them."""
    epochs = 3 if setup.small else 8
    campaign, config = made(setup, backend=backend, epochs=epochs, cycles=1, compile=compiled)
    images = len(samples_of(campaign, config))
    variant = COMPILED[BEST_COMPILED] if compiled else VARIANTS[BEST]
    bare = timed(setup, setup.networks[0], variant)["images_per_s"]
    note("bare step", {"images_per_s": bare})
    times = setup.work / f"times-{backend}-{compiled}.txt"
    times.unlink(missing_ok=True)
    with campaign_session(config):
        start = time.time()
        train(campaign, config, times, setup.work / f"run-{backend}-{compiled}")
        total = time.time() - start
    note(f"training, {backend}", figures(times, start, total, images, bare))


def train(campaign: CampaignFolder, config: Config, times: Path, run: Path) -> None:
    """The train stage of the first round, into a folder of its own."""
    folder = type(campaign.root)(str(run.resolve()))
    folder.delete()
    run_training(
        partial(timed_worker, campaign=campaign, config=config, times=str(times.resolve())),
        WorkerGroup.of_training(config),
        folder,
        epochs=config.train.epochs,
        title="training",
    )


def figures(times: Path, start: float, total: float, images: int, bare: float) -> dict[str, Any]:
    """Seconds by part: what came before the loop, the first epoch, the later ones, and the end."""
    entered, *ends = map(float, times.read_text().split())
    epochs = [after - before for before, after in zip([entered, *ends], ends, strict=False)]
    later = sorted(epochs[2:])[len(epochs[2:]) // 2]
    return {
        "images_per_s": images / later,
        "share_of_bare_step": images / later / bare,
        "before_the_loop_s": entered - start,
        "first_epoch_s": epochs[0],
        "second_epoch_s": epochs[1],
        "after_the_last_s": start + total - ends[-1],
        "images": images,
    }


def timed_worker(worker: TrainWorker, campaign: CampaignFolder, config: Config, times: str) -> None:
    """The worker of the train stage, which leaves the time at its start and after each epoch."""
    timed = TimedWorker(worker, Path(times))
    timed.stamp()
    train_worker(timed, campaign, config, 0)


class TimedWorker:
    """A worker that also writes down when its epochs end."""

    def __init__(self, worker: TrainWorker, times: Path) -> None:
        self.worker, self.times, self.context = worker, times, worker.context

    def stamp(self) -> None:
        """Write down the time."""
        with self.times.open("a") as file:
            file.write(f"{time.time()}\n")

    def restore(self) -> TrainState | None:
        """The state of an interrupted run."""
        return self.worker.restore()

    def wrap(self, network: nn.Module) -> nn.Module:
        """The data-parallel model."""
        return self.worker.wrap(network)

    def save(self, number: int, state: TrainState) -> None:
        """Keep a snapshot."""
        self.worker.save(number, state)

    def finished(self, epochs: int) -> None:
        """So many epochs are done."""
        self.stamp()
        self.worker.finished(epochs)
