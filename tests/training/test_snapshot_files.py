import io
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch

from atal_ray.training.loop import TrainState
from atal_ray.training.snapshot_files import LOG, REST, WEIGHTS, read_state, state_files


class RunsCode:
    """What a malicious file would hold: unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.fixture
def state() -> TrainState:
    network = {"weight": torch.arange(6.0).reshape(2, 3), "running_mean": torch.tensor([0.5])}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.02}]}
    log = [{"epoch": 0, "loss": 0.7}, {"epoch": 1, "loss": 0.6, "delta": 0.1}]
    return TrainState(network, optimizer, 2, log, torch.rand(2, 1, 4, 4))


def test_a_state_comes_back_from_its_files(state: TrainState) -> None:
    files = state_files(state)
    assert list(files) == [WEIGHTS, REST, LOG]  # the log, which says that the others are complete, is last
    again = read_state(files.__getitem__)
    assert (again.epochs_done, again.log) == (state.epochs_done, state.log)
    assert again.network.keys() == state.network.keys()
    assert all(torch.equal(again.network[key], state.network[key]) for key in state.network)
    assert torch.equal(again.probe, state.probe)
    assert torch.equal(again.optimizer["state"][0]["momentum_buffer"], torch.ones(2, 3))
    assert again.optimizer["param_groups"] == [{"lr": 0.02}]


@pytest.mark.parametrize("name", [WEIGHTS, REST])
def test_a_file_that_would_run_code_is_refused(state: TrainState, tmp_path: Path, name: str) -> None:
    files, made, bad = state_files(state), tmp_path / "made", io.BytesIO()
    torch.save({"network": RunsCode(made)}, bad)
    with pytest.raises(UnpicklingError):
        read_state({**files, name: bad.getvalue()}.__getitem__)
    assert not made.exists()
