"""Faults of a campaign on three raylets of one machine, stage by stage: SIGKILL for the driver, a Train
worker, a Data actor or a whole node; a worker that ends itself; a node that is paused; a disk that is full.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from three_nodes import Nodes

from atal_ray.campaign.campaign_folder import (
    METRICS,
    POINTS,
    QUERIES,
    START,
    TRAIN_RUN,
    TRAINING,
    CampaignFolder,
)
from atal_ray.errors import CampaignError
from atal_ray.runtime.progress import PROGRESS
from atal_ray.store.folder import Folder

Victim = Literal[
    "driver",
    "driver, SIGTERM",
    "train worker",
    "data actor",
    "node",
    "train worker, os._exit",
    "data actor, os._exit",
    "loading task, os._exit",
    "node, SIGSTOP",
    "disk, full",
]
Stage = Literal["random start", "training", "evaluation", "query", "commit"]
JOB = Path(__file__).parents[1] / "jobs" / "run.py"
DIES = f"""
import os, pathlib, runpy, signal
import atal_ray.campaign.evaluate, atal_ray.campaign.query.ask, atal_ray.campaign.train
from atal_ray.campaign import evaluate, train
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.query import ask
marks = os.environ["MARKS"]
def is_due(name):
    try:
        os.rename(f"{{marks}}/due-{{name}}", f"{{marks}}/done-{{name}}")
    except FileNotFoundError:
        return False
    return True
commit = CampaignFolder.commit
def die_at_commit(self, number):
    if is_due(f"commit-{{number}}"):
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self, number)
CampaignFolder.commit = die_at_commit
# what is defined here goes to the workers by value
load_shard, train_worker = ask.load_shard, train.train_worker
def load_or_die(row, campaign, config, round_number):
    if is_due(f"loading-{{round_number}}"):
        os._exit(0)
    return load_shard(row, campaign, config, round_number)
ask.load_shard = load_or_die
class PickOrDie(ask.PickShard):
    def __call__(self, row):
        if is_due(f"scoring-{{self.round_number}}"):
            os._exit(0)
        return super().__call__(row)
ask.PickShard = PickOrDie
class EvaluateOrDie(evaluate.EvaluateShard):
    def __call__(self, row):
        if is_due(f"evaluation-{{self.round_number}}"):
            os._exit(0)
        return super().__call__(row)
Stage = evaluate.Stage  # the class stays in its module, where workers look for its base
evaluate.Stage = lambda actor, arguments: Stage(EvaluateOrDie, arguments)
def train_or_die(worker, campaign, config, round_number):
    finished = worker.finished
    def finished_or_die(epochs):
        finished(epochs)
        if is_due(f"training-{{round_number}}"):
            os._exit(0)
    worker.finished = finished_or_die
    train_worker(worker, campaign, config, round_number)
train.train_worker = train_or_die
runpy.run_path({str(JOB)!r}, run_name="__main__")
"""
"""The campaign, in which a process ends itself, once, where a file says so."""
TITLES = {
    "train worker": re.compile(r"ray::\S*TrainWorker"),
    "data actor": re.compile(r"ray::MapWorker\(.*TalliedActor"),
}
LOOK_SECONDS, MOST_SECONDS = 0.02, 240.0


class NoChanceError(Exception):
    """The stage was over before its victim could be found."""


@dataclass(frozen=True)
class Kill:
    """Who is killed, and when."""

    victim: Victim
    stage: Stage
    round_number: int = 0

    @property
    def due(self) -> str | None:
        """What ends itself; None where it is killed."""
        number = START if self.stage == "random start" else self.round_number
        if self.stage == "commit" and self.victim == "driver":
            return f"commit-{number}"
        if "os._exit" not in self.victim:
            return None
        if self.victim.startswith("loading"):
            return f"loading-{number}"
        return f"{self.stage if self.stage in ('training', 'evaluation') else 'scoring'}-{number}"


@dataclass(frozen=True)
class Survival:
    """What a kill cost."""

    kill: Kill
    started_again: int
    """How often the same command was given until the campaign had passed the stage; of a campaign's first
    kill, the first one too.
    """
    exit_seconds: float | None
    """SIGTERM: how long the driver took to end."""
    sentence: str | None = None
    """What the driver said of a full disk."""


class Campaign:
    """One campaign as a process of its own, which is started again whenever it ended before its time.

    Args:
        config: YAML of its configuration.
        folder: where it lives; a path or the URI of an object store.
        address: of the cluster.
        log: file for what it prints.
        dues: what is to end itself once, such as loading-1: the loading task of round 1.
    """

    def __init__(self, config: Path, folder: str, address: str, log: Path, dues: Iterable[str] = ()) -> None:
        self.config, self.folder, self.address, self.log = config, folder, address, log
        self.files = CampaignFolder(Folder(folder))
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.marks = log.with_suffix(".marks")
        shutil.rmtree(self.marks, ignore_errors=True)
        self.marks.mkdir()
        for name in dues:
            (self.marks / f"due-{name}").touch()

    def start(self) -> None:
        """Give the command."""
        command = [sys.executable, "-c", DIES, str(self.config), self.folder]
        environment = {**os.environ, "RAY_ADDRESS": self.address, "MARKS": str(self.marks)}
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def ended(self) -> int | None:
        """The exit status, once there is one."""
        return self.process.poll() if self.process else 0

    def finish(self, seconds: float = 900.0) -> None:
        """Give the command until the campaign is done; three times at most."""
        for _ in range(3):
            if self.process is None or self.ended() is not None:
                self.start()
            assert self.process is not None
            if self.process.wait(seconds) == 0:
                return
        raise CampaignError(f"{self.folder} did not get to its end: see {self.log}")

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.process is not None and self.ended() is None:
            self.process.kill()
            self.process.wait()


def inject(campaign: Campaign, nodes: Nodes, kill: Kill) -> Survival:
    """Run the campaign up to the stage, kill, and see it through the stage.

    Raises:
        NoChanceError: the stage was over before.
        CampaignError: the campaign did not come as far, or did not go on.
    """
    before, exit_seconds = campaign.starts, None
    if kill.victim == "disk, full":
        return _fill_disk(campaign, nodes, kill)
    if kill.due is not None:
        _await_death(campaign, kill)
        before = campaign.starts
    elif kill.victim == "node, SIGSTOP":
        worker = _await(campaign, nodes, kill)
        assert worker is not None
        with nodes.paused(worker):
            _await_passed(campaign, kill)  # beside its copies, which go on when the block ends
    else:
        victim = _await(campaign, nodes, kill)
        assert victim is not None
        if kill.victim.startswith("driver"):
            exit_seconds = _end_driver(
                campaign, signal.SIGTERM if "SIGTERM" in kill.victim else signal.SIGKILL
            )
        elif kill.victim == "node":
            nodes.kill(victim)
        else:
            victim.kill()
    _await_passed(campaign, kill)
    return Survival(kill, campaign.starts - before, exit_seconds)


def _await_death(campaign: Campaign, kill: Kill) -> None:
    """Wait until the process that is to end itself has done so; it may have done so already.

    The driver does it between the last file of a round and COMMITTED.
    """
    died, deadline = campaign.marks / f"done-{kill.due}", time.monotonic() + MOST_SECONDS
    if not died.exists() and campaign.ended() is not None:
        campaign.start()
    while not died.exists() and time.monotonic() < deadline and campaign.ended() is None:
        time.sleep(LOOK_SECONDS)
    assert campaign.process is not None
    if not died.exists():
        raise CampaignError(f"{kill.due} did not end itself: see {campaign.log}")
    if kill.stage == "commit" and (
        campaign.process.wait(60) != -signal.SIGKILL or campaign.files.is_committed(kill.round_number)
    ):
        raise CampaignError(
            f"the driver was not killed at the commit of round {kill.round_number}: see {campaign.log}"
        )


def _fill_disk(campaign: Campaign, nodes: Nodes, kill: Kill) -> Survival:
    """Fill the disk that the campaign lies on when the stage has begun, until the command ends with a
    sentence; then make room and give it again.

    The stage may have had the room that it needed: then there is nothing to survive.
    """
    before = campaign.starts
    _await(campaign, nodes, kill, worker=kill.stage != "commit")
    ballast = Path(campaign.folder).parent / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"0")
    said = campaign.log.stat().st_size
    try:
        deadline = time.monotonic() + MOST_SECONDS
        while campaign.ended() is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        status = campaign.ended()
    finally:
        ballast.unlink()
    lines = campaign.log.read_bytes()[said:].decode(errors="replace").splitlines()
    sentences = [line for line in lines if line.startswith("atal: ")]
    if status != 2 or not sentences or "Traceback (most recent call last):" in lines:
        raise CampaignError(f"{kill} ended with {status}, not with one sentence: see {campaign.log}")
    _await_passed(campaign, kill)
    return Survival(kill, campaign.starts - before, None, sentences[-1])


def _end_driver(campaign: Campaign, number: signal.Signals) -> float | None:
    assert campaign.process is not None
    began = time.monotonic()
    campaign.process.send_signal(number)
    campaign.process.wait(60)
    return time.monotonic() - began if number == signal.SIGTERM else None


def _await(campaign: Campaign, nodes: Nodes, kill: Kill, *, worker: bool = True) -> psutil.Process | None:
    """A process of the stage, as soon as the stage is on its way; None where it needs none."""
    title = TITLES["train worker" if kill.stage == "training" else "data actor"]
    deadline = time.monotonic() + MOST_SECONDS
    if campaign.ended() is not None:
        campaign.start()
    while time.monotonic() < deadline:
        if passed(campaign.files, kill):
            raise NoChanceError(
                f"{kill.stage} of round {kill.round_number} was over before it could be killed"
            )
        if campaign.ended() is not None:
            raise CampaignError(
                f"the campaign ended before {kill.stage} of round {kill.round_number}: see {campaign.log}"
            )
        if begun(campaign.files, kill):
            if not worker:
                return None
            for process in nodes.workers():
                try:
                    if title.search(" ".join(process.cmdline())):
                        return process
                except psutil.Error:
                    continue
        time.sleep(LOOK_SECONDS)
    raise CampaignError(f"{kill.stage} of round {kill.round_number} never began: see {campaign.log}")


def begun(files: CampaignFolder, kill: Kill) -> bool:
    """Whether the stage has begun to leave files, or the one before it has ended."""
    folder = files.round(kill.round_number)
    if kill.stage == "training":
        return folder.exists(POINTS) and (folder / TRAIN_RUN).exists(PROGRESS)
    if kill.stage == "evaluation":
        return folder.exists(TRAINING)
    if kill.stage == "commit":
        return folder.exists(METRICS)
    asking = files.round(START) if kill.stage == "random start" else folder
    return any(name.endswith("picks.parquet") for name in (asking / f"{QUERIES}.parts").names())


def passed(files: CampaignFolder, kill: Kill) -> bool:
    """Whether the stage has left its last file."""
    folder = files.round(kill.round_number)
    last: dict[Stage, Callable[[], bool]] = {
        "random start": lambda: files.round(START).exists(QUERIES),
        "training": lambda: folder.exists(TRAINING),
        "evaluation": lambda: folder.exists(METRICS),
        "query": lambda: folder.exists(QUERIES),
        "commit": lambda: files.is_committed(kill.round_number),
    }
    return last[kill.stage]()


def _await_passed(campaign: Campaign, kill: Kill) -> None:
    deadline, starts = time.monotonic() + MOST_SECONDS, campaign.starts
    while not passed(campaign.files, kill):
        if campaign.ended() is not None:
            if campaign.starts - starts >= 3:
                raise CampaignError(f"{kill} was not survived: see {campaign.log}")
            campaign.start()
        if time.monotonic() > deadline:
            raise CampaignError(f"{kill} was not survived within {MOST_SECONDS:.0f} s: see {campaign.log}")
        time.sleep(0.1)
