"""Saliency maps of any images by a delivered network: each once, what cannot be read is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from atal_ray import cli, networks
from atal_ray.campaign.finish.delivered_network import DeliveredNetwork, export, folder_of, read
from atal_ray.config import NetworkConfig, config_file
from atal_ray.data.images import read_image, resize
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, CheckpointError, ConfigError
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.networks.inputs import to_batch

SIDE = 64


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    """The folder of a finish, as far as a prediction reads it."""
    torch.manual_seed(5)
    plan = DeliveredNetwork(network=NetworkConfig(name="toy_network:TwoHeads"), size=SIDE)
    network, folder = networks.build(plan.network), tmp_path / "run" / "final"
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "network.pt")
    (folder / "network.yaml").write_text(config_file.to_yaml(plan))
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["atal", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_each_readable_image_gets_its_map_and_a_torn_one_is_named(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_dataset(tmp_path / "photos", count=6, size=(40, 64)) / "images"
    torn = sorted(images.iterdir())[2]
    torn.write_bytes(torn.read_bytes()[:200])
    line = [
        "predict",
        delivered.parent,
        images,
        tmp_path / "maps",
        "--backend",
        "inline",
        "--batch-size",
        "4",
    ]
    assert call(monkeypatch, *line) == 1
    printed = capsys.readouterr()
    assert "done: 5 maps in" in printed.out
    assert f"no map of {torn.stem}: " in printed.err
    network = read(folder_of(delivered))
    for path in set(images.iterdir()) - {torn}:
        image = read_image(path)
        x = to_batch(resize(image, SIDE)[None], torch.device("cpu"))
        expected = saliency_maps(predict([network], x)[:, 0], image.shape[:2])[0].numpy()
        found = cv2.imread(str(tmp_path / "maps" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert np.abs(found - 255 * expected).max() < 0.51
    torn.unlink()
    (images.parent / "masks" / f"{torn.stem}.png").rename(images.parent / "masks" / "alone.png")
    line[2] = images.parent
    assert call(monkeypatch, *line) == 0, "the others are there"


def test_an_exported_file_is_whole_or_not_there(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "export", delivered, tmp_path / "out" / "network.ts") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["network.ts"]
    images = torch.randint(0, 256, (1, 3, SIDE, SIDE), dtype=torch.uint8)
    expected = saliency_maps(predict([read(folder_of(delivered))], images / 255)[:, 0], (SIDE, SIDE))
    found = torch.jit.load(str(tmp_path / "out" / "network.ts"))(images)
    assert float((found - expected).abs().max()) < 1e-4


def test_what_is_no_delivered_network_is_a_sentence(delivered: Path, tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"holds no network\.pt and network\.yaml"):
        folder_of(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(CampaignError, match=r"is a campaign that is not finished: .*`atal finish "):
        folder_of(tmp_path)
    with pytest.raises(CampaignError, match="cannot be written: Is a directory"):
        export(delivered, str(tmp_path))
    with pytest.raises(ConfigError, match="is a URI"):
        export(delivered, "s3://bucket/network.ts")
    (delivered / "network.pt").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"network\.pt"):
        read(folder_of(delivered))
