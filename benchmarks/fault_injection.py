"""SIGKILL for the driver, a Train worker, a Data actor or a whole node of a campaign on three raylets of one
machine, stage by stage.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
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

Victim = Literal["driver", "driver, SIGTERM", "train worker", "data actor", "node"]
Stage = Literal["random start", "training", "evaluation", "query", "commit"]
JOB = Path(__file__).parents[1] / "jobs" / "run.py"
DIE_AT_COMMIT = f"""
import os, pathlib, runpy, signal
from atal_ray.campaign.campaign_folder import CampaignFolder
commit, marks = CampaignFolder.commit, pathlib.Path(os.environ["MARKS"])
def die_once(self, number):
    due = marks / f"die-at-{{number}}"
    if due.exists():
        due.rename(marks / f"died-at-{{number}}")
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self, number)
CampaignFolder.commit = die_once
runpy.run_path({str(JOB)!r}, run_name="__main__")
"""
TITLES = {
    "train worker": re.compile(r"ray::\S*TrainWorker"),
    "data actor": re.compile(r"ray::MapWorker\(.*TimedActor"),
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


class Campaign:
    """One campaign as a process of its own, which is started again whenever it ended before its time.

    Args:
        config: YAML of its configuration.
        folder: where it lives; a path or the URI of an object store.
        address: of the cluster.
        log: file for what it prints.
        commits: rounds at whose commit, when all other files are written, the driver is killed once.
    """

    def __init__(
        self, config: Path, folder: str, address: str, log: Path, commits: Iterable[int] = ()
    ) -> None:
        self.config, self.folder, self.address, self.log = config, folder, address, log
        self.files = CampaignFolder(Folder(folder))
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.marks = log.with_suffix(".marks")
        shutil.rmtree(self.marks, ignore_errors=True)
        self.marks.mkdir()
        for number in commits:
            (self.marks / f"die-at-{number}").touch()

    def start(self) -> None:
        """Give the command."""
        command = [sys.executable, "-c", DIE_AT_COMMIT, str(self.config), self.folder]
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
    if kill.stage == "commit":
        _await_death_at_commit(campaign, kill)
        before = campaign.starts
    else:
        victim = _await(campaign, nodes, kill)
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


def _await_death_at_commit(campaign: Campaign, kill: Kill) -> None:
    """Wait until the driver has killed itself between the last file of a round and COMMITTED; it may have
    done so already.
    """
    died, deadline = campaign.marks / f"died-at-{kill.round_number}", time.monotonic() + MOST_SECONDS
    if not died.exists() and campaign.ended() is not None:
        campaign.start()
    while not died.exists() and time.monotonic() < deadline and campaign.ended() is None:
        time.sleep(LOOK_SECONDS)
    assert campaign.process is not None
    if (
        not died.exists()
        or campaign.process.wait(60) != -signal.SIGKILL
        or campaign.files.is_committed(kill.round_number)
    ):
        raise CampaignError(
            f"the driver was not killed at the commit of round {kill.round_number}: see {campaign.log}"
        )


def _end_driver(campaign: Campaign, number: signal.Signals) -> float | None:
    assert campaign.process is not None
    began = time.monotonic()
    campaign.process.send_signal(number)
    campaign.process.wait(60)
    return time.monotonic() - began if number == signal.SIGTERM else None


def _await(campaign: Campaign, nodes: Nodes, kill: Kill) -> psutil.Process:
    """The process that is to die, as soon as the stage is on its way; of the driver, any worker."""
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
            for worker in nodes.workers():
                try:
                    if title.search(" ".join(worker.cmdline())):
                        return worker
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
