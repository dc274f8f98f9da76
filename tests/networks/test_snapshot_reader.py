import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from atal_ray.config import Config, NetworkConfig, TrainConfig
from atal_ray.errors import CheckpointError
from atal_ray.networks import registry
from atal_ray.networks.f3net_small import F3NetSmall
from atal_ray.networks.snapshot_reader import load_snapshot, read_snapshots
from atal_ray.store.folder import Folder
from atal_ray.training import snapshot_files


class Renamed(F3NetSmall):
    """Published with its last head under another name."""

    published_prefixes = {"classifier.": "linearr5."}  # noqa: RUF012


@pytest.fixture
def small() -> F3NetSmall:
    torch.manual_seed(0)
    return F3NetSmall()


def saved(state: Mapping[str, object]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_round_trip(small, tmp_path, prefix: str, as_bytes: bool):
    content = saved({prefix + key: value for key, value in small.state_dict().items()})
    path = tmp_path / "1.pt"
    path.write_bytes(content)
    torch.manual_seed(9)
    other = F3NetSmall()
    assert not torch.equal(other.linearp1.weight, small.linearp1.weight)
    load_snapshot(other, content if as_bytes else path)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in small.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_keys_are_mapped_by_the_rule_of_the_network(small, prefix: str):
    published = {
        prefix + key.replace("linearr5.", "classifier."): value for key, value in small.state_dict().items()
    }
    assert f"{prefix}classifier.bias" in published
    torch.manual_seed(9)
    renamed = Renamed()
    load_snapshot(renamed, saved(published))
    assert all(torch.equal(value, renamed.state_dict()[key]) for key, value in small.state_dict().items())
    with pytest.raises(
        CheckpointError,
        match=r"2 keys are missing, first linearr5\.weight.*2 keys are unknown, first classifier\.",
    ):
        load_snapshot(small, saved({key.removeprefix(prefix): value for key, value in published.items()}))


def test_strangers_are_refused_with_what_differs(small, tmp_path):
    path = tmp_path / "2.pt"
    torch.save({"conv.weight": torch.zeros(1)}, path)
    count = sum(not key.endswith("num_batches_tracked") for key in small.state_dict())
    sentence = (
        rf"2\.pt holds weights of another network than F3NetSmall: {count} keys are missing, "
        r"first bkbone\.stem\.0\.weight"
    )
    with pytest.raises(CheckpointError, match=sentence):
        load_snapshot(small, path)


@pytest.mark.parametrize("name", ["f3net", "minet", "pfsnet"])
def test_another_known_network_is_refused_by_name(small, name: str, tmp_path):
    with torch.device("meta"):
        stranger = registry.find(name).from_config(NetworkConfig())
    path = tmp_path / "theirs.pth"
    torch.save(
        {
            stranger.published_key(key): torch.zeros(()).expand(value.shape)
            for key, value in stranger.state_dict().items()
        },
        path,
    )
    before = {key: value.clone() for key, value in small.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=rf"theirs\.pth holds weights of the network {name}, not of F3NetSmall"
    ):
        load_snapshot(small, path)
    assert all(torch.equal(value, before[key]) for key, value in small.state_dict().items())


class Touch:
    """Unpickled, it writes a file: what an attacker's code would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def two() -> Config:
    return Config(network=NetworkConfig(name="f3net-small"), train=TrainConfig(cycles=2, epochs=2))


def test_a_trajectory_is_read_in_order_frozen_and_in_evaluation_mode(small, two, tmp_path):
    for number in (1, 2):
        torch.nn.init.constant_(small.linearp2.bias, number)
        (tmp_path / f"{number}.pt").write_bytes(saved(small.state_dict()))
    snapshots = read_snapshots(Folder(str(tmp_path)), two, torch.device("cpu"))
    assert [float(network.get_parameter("linearp2.bias")) for network in snapshots] == [1.0, 2.0]
    for network in snapshots:
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_code_in_a_snapshot_is_refused_and_never_run(small, two, tmp_path):
    (tmp_path / "1.pt").write_bytes(saved({**small.state_dict(), "bomb": Touch(tmp_path / "ran")}))
    with pytest.raises(CheckpointError, match=r"1\.pt cannot be read as a PyTorch state dict"):
        read_snapshots(Folder(str(tmp_path)), two, torch.device("cpu"))
    assert not (tmp_path / "ran").exists()


def test_code_in_a_training_state_is_refused_and_never_run(tmp_path):
    """What a training goes on from after an interruption: weights, optimiser and log."""
    files = {
        snapshot_files.WEIGHTS: saved({"weight": torch.zeros(1)}),
        snapshot_files.REST: saved({"optimizer": Touch(tmp_path / "ran")}),
    }
    with pytest.raises(pickle.UnpicklingError):
        snapshot_files.read_state(files.__getitem__)
    assert not (tmp_path / "ran").exists()
