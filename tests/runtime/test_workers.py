"""A training in this process: its snapshots, how it goes on after an interruption, what it refuses."""

import pickle

import pytest
import torch

from atal_ray.config import Config, ResourceConfig, TrainConfig
from atal_ray.errors import StoreError
from atal_ray.runtime.ray_train import _drop_unusable
from atal_ray.runtime.workers import (
    RAY_BOOKS,
    InlineWorker,
    WorkerGroup,
    run_training,
    snapshot_folder,
    snapshots_of,
)
from atal_ray.store.folder import Folder
from atal_ray.training.loop import TrainState
from atal_ray.training.snapshot_files import LOG, REST, WEIGHTS, read_state

INLINE = WorkerGroup("inline", 1, 1, "none")


def state(epochs: int) -> TrainState:
    """A state whose parts all say how many epochs are done."""
    log = [{"epoch": float(epoch), "loss": 1.0} for epoch in range(epochs)]
    return TrainState({"w": torch.full((2,), epochs)}, {"lr": epochs}, epochs, log, torch.full((1,), epochs))


class Loop:
    """Two cycles of two epochs; ends with an error before the second snapshot where it is told to."""

    def __init__(self, *, fail: bool = False) -> None:
        self.fail, self.resumed = fail, -1

    def __call__(self, worker) -> None:
        torch.set_num_threads(1)
        resume = worker.restore()
        self.resumed = resume.epochs_done if resume else 0
        for number in (1, 2):
            if 2 * number > self.resumed:
                if number == 2 and self.fail:
                    raise RuntimeError("the power is off")
                worker.save(number, state(2 * number))
                worker.finished(2 * number)


def run(folder: Folder, loop: Loop) -> Loop:
    run_training(loop, INLINE, folder, epochs=4, title="test")
    return loop


def test_snapshots_lie_in_folders_of_their_own(tmp_path):
    folder = Folder(str(tmp_path / "train"))
    run(folder, Loop())
    for number in (1, 2):
        found = read_state(snapshot_folder(folder, number).read_bytes)
        assert (found.epochs_done, found.network["w"].tolist()) == (2 * number, [2 * number] * 2)
        assert found.log == state(2 * number).log


def test_it_goes_on_from_the_last_snapshot_and_keeps_the_number_of_threads(tmp_path):
    folder, threads = Folder(str(tmp_path / "train")), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="power"):
            run(folder, Loop(fail=True))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert run(folder, Loop()).resumed == 2


@pytest.mark.parametrize("lost", [WEIGHTS, REST, LOG])
def test_a_snapshot_whose_log_is_not_there_was_not_finished(tmp_path, lost):
    folder = Folder(str(tmp_path / "train"))
    run(folder, Loop())
    snapshot_folder(folder, 2).remove(lost)
    worker = InlineWorker(folder, torch.device("cpu"))
    if lost == LOG:  # it is written last
        restored = worker.restore()
        assert restored is not None
        assert restored.epochs_done == 2
    else:
        with pytest.raises(Exception, match=lost):
            worker.restore()


def test_ray_does_not_go_on_from_a_run_that_went_on_without_it(tmp_path):
    folder = Folder(str(tmp_path / "train"))
    folder.write_bytes(RAY_BOOKS, b"{}")
    run(folder, Loop())
    assert not folder.exists(RAY_BOOKS)


class Harmful:
    def __reduce__(self):
        return print, ("this code was run",)


@pytest.mark.parametrize("name", [WEIGHTS, REST])
def test_a_state_that_would_run_code_is_refused(tmp_path, capsys, name):
    folder = Folder(str(tmp_path / "train"))
    run(folder, Loop())
    snapshot_folder(folder, 2).write_bytes(name, pickle.dumps({"network": Harmful()}))
    with pytest.raises(pickle.UnpicklingError):
        InlineWorker(folder, torch.device("cpu")).restore()
    torch.save(Harmful(), tmp_path / "harmful.pt")
    snapshot_folder(folder, 2).write_bytes(name, (tmp_path / "harmful.pt").read_bytes())
    with pytest.raises(pickle.UnpicklingError):
        InlineWorker(folder, torch.device("cpu")).restore()
    assert "this code was run" not in capsys.readouterr().out


def test_the_group_is_that_of_the_configuration():
    config = Config(
        train=TrainConfig(workers=2, threads=3, batch_size=4),
        resources=ResourceConfig(gpus="none", scoring_nodes={"gpu": "a"}),
    )
    assert WorkerGroup.of_training(config) == WorkerGroup("ray", 2, 3, "none", {"gpu": "a"})


def test_a_run_is_dropped_for_damage_but_not_because_its_store_is_away(tmp_path, monkeypatch):
    def away(*_):
        raise StoreError("the store cannot be reached")

    folder = Folder(str(tmp_path))
    (folder / "train").write_bytes(RAY_BOOKS, b'{"ray_version": ')
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "read_bytes", away)
        with pytest.raises(StoreError):
            _drop_unusable(folder / "train")
    assert folder.exists("train")
    _drop_unusable(folder / "train")
    assert not folder.exists("train")


def test_a_run_of_ray_train_is_taken_over_with_the_snapshots_in_its_books(tmp_path):
    folder = Folder(str(tmp_path / "train"))
    run(folder, Loop())
    snapshot_folder(folder, 2).write_bytes(WEIGHTS, b"cut short, for Ray copies files in any order")
    folder.write_json(RAY_BOOKS, {"checkpoint_results": [{"checkpoint_dir_name": "snapshot-01"}]})
    assert run(folder, Loop()).resumed == 2
    assert read_state(snapshot_folder(folder, 2).read_bytes).epochs_done == 4
    assert not folder.exists(RAY_BOOKS)


def test_ray_train_begins_anew_where_it_did_not_begin(tmp_path):
    folder = Folder(str(tmp_path / "train"))
    run(folder, Loop())
    _drop_unusable(folder)
    assert snapshots_of(folder) == 0
