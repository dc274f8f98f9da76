import hashlib
import io
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from atal_ray.errors import CheckpointError
from atal_ray.networks import weights
from atal_ray.networks.f3net import F3Net
from atal_ray.networks.f3net_small import F3NetSmall
from atal_ray.networks.weights import fetch_resnet50, load_backbone, read_state

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def f3net() -> F3Net:
    return F3Net()


@pytest.fixture(scope="module")
def resnet_state(f3net) -> State:
    """What PyTorch publishes: the classifier is there, the counters of batch norms are not."""
    generator = torch.Generator().manual_seed(1)
    state = {
        key: torch.randn(value.shape, generator=generator)
        for key, value in f3net.bkbone.state_dict().items()
        if "num_batches" not in key
    }
    return state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_backbone_takes_every_weight_but_the_classifier(f3net, resnet_state, tmp_path):
    path = tmp_path / "resnet50.pth"
    torch.save(resnet_state, path)
    head = f3net.linearp1.weight.clone()
    load_backbone(f3net, path)
    loaded = f3net.bkbone.state_dict()
    assert all(
        torch.equal(loaded[key], value) for key, value in resnet_state.items() if not key.startswith("fc.")
    )
    assert torch.equal(f3net.linearp1.weight, head)


class Touch:
    """Unpickled, it writes a file: what an attacker's code would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_is_refused_and_never_run(tmp_path):
    content = saved({"conv.weight": torch.zeros(1), "bomb": Touch(tmp_path / "ran")})
    (tmp_path / "odd.pt").write_bytes(content)
    for source in (content, tmp_path / "odd.pt"):
        with pytest.raises(CheckpointError, match="cannot be read as a PyTorch state dict"):
            read_state(source, "odd.pt")
    assert not (tmp_path / "ran").exists()
    torch.load(io.BytesIO(content), weights_only=False)
    assert (tmp_path / "ran").exists()  # the file would have run its code


class Pretrained(F3NetSmall):
    backbone_prefix = "bkbone."


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stem.1.bias": None}, r"1 key is missing, first stem\.1\.bias"),
        (
            {"stem.1.bias": None, "stem.0.weight": None},
            r"2 keys are missing, first stem\.0\.weight, stem\.1\.bias",
        ),
        ({"layer5.weight": torch.zeros(1)}, r"1 key is unknown, first layer5\.weight"),
        (
            {"stem.0.weight": torch.zeros(16, 1, 3, 3)},
            r"stem\.0\.weight is \[16, 1, 3, 3\], expected \[16, 3, 3, 3\]",
        ),
    ],
)
def test_another_backbone_is_refused_and_nothing_is_loaded(
    tmp_path, change: dict[str, Tensor | None], complaint: str
):
    network = Pretrained()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    changed = {key: value + 1 for key, value in network.bkbone.state_dict().items()} | change
    torch.save({key: value for key, value in changed.items() if value is not None}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=rf"other\.pth holds weights of another network.*{complaint}"):
        load_backbone(network, tmp_path / "other.pth")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.pth: no such file"):
        load_backbone(Pretrained(), tmp_path / "absent.pth")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "cannot be read as a PyTorch state dict"),
        (b"not weights at all", "cannot be read as a PyTorch state dict"),
        (saved({"a": torch.zeros(100)})[:-80], "cannot be read as a PyTorch state dict"),
        (pickle.dumps(Path("x"), protocol=2), r"cannot be read as a PyTorch state dict \(UnpicklingError\)"),
        (saved({}), r"a dict with the keys \(none\)"),
        (saved({"epoch": 3, "network": {}}), "a dict with the keys epoch, network"),
        (saved(torch.zeros(3)), "a Tensor"),
    ],
    ids=["empty", "text", "truncated", "object", "no-keys", "nested", "tensor"],
)
def test_files_that_are_no_state_dict_are_refused(tmp_path, content: bytes, complaint: str):
    path = tmp_path / "odd.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"odd\.pt.*{complaint}"):
        read_state(path, str(path))


def serve(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish bytes where the ResNet-50 weights are looked for."""
    folder.mkdir()
    (folder / "resnet50.pth").write_bytes(content)
    monkeypatch.setattr(weights, "RESNET50_URL", (folder / "resnet50.pth").as_uri())


def test_fetch_downloads_once(tmp_path, monkeypatch):
    serve(b"weights", tmp_path / "server", monkeypatch)
    monkeypatch.setattr(weights, "RESNET50_SHA256", hashlib.sha256(b"weights").hexdigest()[:8])
    path = fetch_resnet50(tmp_path / "cache")
    assert path.read_bytes() == b"weights"
    (tmp_path / "server" / "resnet50.pth").unlink()
    assert fetch_resnet50(tmp_path / "cache") == path


def test_fetch_replaces_a_damaged_copy(tmp_path, monkeypatch):
    serve(b"weights", tmp_path / "server", monkeypatch)
    monkeypatch.setattr(weights, "RESNET50_SHA256", hashlib.sha256(b"weights").hexdigest()[:8])
    path = tmp_path / "cache" / "resnet50.pth"
    path.parent.mkdir()
    path.write_bytes(b"weig")
    assert fetch_resnet50(tmp_path / "cache").read_bytes() == b"weights"


def test_fetch_refuses_a_wrong_hash_and_leaves_no_file(tmp_path, monkeypatch):
    serve(b"something else", tmp_path / "server", monkeypatch)
    with pytest.raises(CheckpointError, match="invalid hash value"):
        fetch_resnet50(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetch_without_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "RESNET50_URL", (tmp_path / "nowhere" / "resnet50.pth").as_uri())
    with pytest.raises(CheckpointError, match=r'could not be downloaded.*network\.weights, or "random"'):
        fetch_resnet50(tmp_path / "cache")
