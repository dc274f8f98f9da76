"""When a training on Ray Train is tried again, and when it ends with a sentence."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray.train import ControllerError, WorkerGroupError

from atal_ray.errors import AtalError, CampaignError, DivergedError, StoreError
from atal_ray.runtime import ray_train
from atal_ray.runtime.workers import WorkerGroup, run_training, snapshot_folder
from atal_ray.store.folder import Folder
from atal_ray.training.snapshot_files import LOG

GROUP = WorkerGroup("ray", 2, 1, "none")


class ActorDiedError(Exception):
    """As Ray calls it."""


class WorkerGroupStartupTimeoutError(Exception):
    """As Ray Train calls it."""


DEATH = WorkerGroupError("a page of text", {0: ActorDiedError("more text")})


class Trainer:
    """Fails as it is told, one error after another; a number is a snapshot that is made before."""

    def __init__(self, run: Folder, ends: list[Any]) -> None:
        self.run, self.ends, self.fits = run, ends, 0

    def fit(self) -> None:
        self.fits += 1
        while self.ends:
            end = self.ends.pop(0)
            if isinstance(end, Exception):
                raise end
            snapshot_folder(self.run, end).write_bytes(LOG, b"{}")

    def end(self) -> None:
        pass


def fits(ends: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a training is tried that ends like this."""
    trainer = Trainer(Folder(str(folder / "train")), ends)
    monkeypatch.setattr(ray_train, "_trainer", lambda loop, group, run: trainer)
    ray_train.fit(lambda worker: None, GROUP, trainer.run, "round 0: training")
    return trainer.fits


def test_a_training_goes_on_as_long_as_deaths_leave_new_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [DEATH, DEATH, 1, DEATH, DEATH, 2, DEATH, 3]
    assert fits(ends, tmp_path, monkeypatch) == 6


def test_three_deaths_without_a_new_snapshot_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sentence = (
        r"^round 0: training failed: a worker's process ended without a word.*did so 3 times without another "
        "snapshot.*goes on from snapshot 1; "
    )
    with pytest.raises(CampaignError, match=sentence):
        fits([DEATH, 1, DEATH, DEATH, DEATH, 2], tmp_path, monkeypatch)
    assert "it goes on from snapshot 1" in caplog.text


@pytest.mark.parametrize("error", [DivergedError("the training diverged"), CampaignError("no space left")])
def test_what_a_worker_says_for_people_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: AtalError
) -> None:
    with pytest.raises(type(error), match=str(error)):
        fits([WorkerGroupError("text", {0: ActorDiedError(), 1: error}), 1], tmp_path, monkeypatch)


def test_a_store_may_be_away_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = WorkerGroupError("text", {0: StoreError("s3://b cannot be read")})
    assert fits([away, 1], tmp_path, monkeypatch) == 2


def test_a_worker_that_dies_as_it_starts_is_a_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = ControllerError(ray.exceptions.ActorDiedError())
    assert fits([died, 1], tmp_path, monkeypatch) == 2


def test_no_room_for_the_workers_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CampaignError, match="for 10 minutes no machine had room for its 2 workers of 1 CPUs"):
        fits([ControllerError(WorkerGroupStartupTimeoutError("text"))], tmp_path, monkeypatch)
    with pytest.raises(CampaignError, match="training failed: OSError: disk"):
        fits([ControllerError(OSError("disk"))], tmp_path, monkeypatch)


class Loop:
    """Leaves a line for each time it is tried, and ends its process or raises an error."""

    def __init__(self, notes: Path, *, die: bool) -> None:
        self.notes, self.die = notes, die

    def __call__(self, worker: Any) -> None:
        with self.notes.open("a") as file:
            print("tried", file=file)
        if self.die:
            os._exit(0)
        raise DivergedError("the training diverged: in epoch 1 of 2 the loss is not a finite number")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("die", "tries", "kind", "sentence"),
    [
        (True, 3, CampaignError, "a worker's process ended without a word.*3 times without another snapshot"),
        (False, 1, DivergedError, "^the training diverged: in epoch 1 of 2 the loss is not a finite number$"),
    ],
)
def test_on_ray_itself(
    ray_local: None, tmp_path: Path, die: bool, tries: int, kind: type[AtalError], sentence: str
) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    group = WorkerGroup("ray", 1, 1, "none")
    loop, run = Loop(tmp_path / "notes", die=die), Folder(str(tmp_path / "train"))
    try:
        with pytest.raises(kind, match=sentence):
            run_training(loop, group, run, epochs=2, title="round 0: training")
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert (tmp_path / "notes").read_text().split() == ["tried"] * tries
    states = [group["state"] for group in ray.util.placement_group_table().values()]
    assert set(states) == {"REMOVED"}, "its CPUs are free for the others"
