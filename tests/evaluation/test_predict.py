"""Predicted maps, pixel by pixel: the right head, resized to the image before the sigmoid, rounded."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from atal_ray.config import NetworkConfig
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.evaluation.predict import predict_maps
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.networks.f3net_small import F3NetSmall
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.runtime.shards import Pool
from atal_ray.store.folder import Folder

SIDE = 64


def resized_logits(logits: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    """Bilinear between pixel centres, then the sigmoid: OpenCV's interpolation instead of PyTorch's."""
    larger = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-larger)))


def test_logits_are_resized_and_then_squashed() -> None:
    logits = 10 * torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = saliency_maps(logits, (21, 13)).numpy()
    assert maps.shape == (3, 21, 13)
    for found, one in zip(maps, logits[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(found, resized_logits(one, 21, 13), atol=1e-5)


class TwoHeads(SaliencyNetwork):
    """Its second logits are the prediction: the brightness; its first ones are something else."""

    loss_weights = (1.0, 1.0)
    feature_channels = 3
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def __init__(self, prediction: int, factor: float) -> None:
        super().__init__()
        self.prediction, self.factor = prediction, factor

    def forward(self, x: Tensor) -> SaliencyOutput:
        bright = self.factor * x.mean(dim=1, keepdim=True)
        return SaliencyOutput((-7 * bright, bright), x)


def test_each_snapshot_gives_the_head_of_its_prediction() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = predict([TwoHeads(1, 1.0), TwoHeads(1, 2.0), TwoHeads(0, 1.0)], images)
    bright = (images.mean(dim=1, keepdim=True) - 0.5) / 0.25
    torch.testing.assert_close(found, torch.stack([bright, 2 * bright, -7 * bright]))


@pytest.fixture
def checkpoint(tmp_path: Path) -> tuple[F3NetSmall, Path]:
    torch.manual_seed(0)
    network = F3NetSmall().eval()
    torch.nn.init.normal_(network.linearp2.weight, std=0.02)  # maps with contrast that are not saturated
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    return network, tmp_path / "mine.pt"


def test_maps_are_those_of_the_network(
    checkpoint: tuple[F3NetSmall, Path], tmp_path: Path, synth_folder: Path
) -> None:
    """Inline, in two batches, against the forward pass written out for one image at a time."""
    network, path = checkpoint
    images = {image.stem: image for image in sorted((synth_folder / "images").iterdir())[:3]}
    config = EvaluationConfig(network=NetworkConfig(name="f3net-small"), size=SIDE, batch_size=2, gpus="none")
    out = Folder(str(tmp_path / "maps"))
    assert predict_maps(path, images, out, config, Pool(1, 1, 0, backend="inline")) == {}
    for image_id, file in images.items():
        pixels = np.asarray(Image.open(file).convert("RGB"))
        small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        with torch.no_grad():
            x = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
            logits = network(network.normalise(x)).logits[1][0, 0].numpy()
        expected = 255 * resized_logits(logits, *pixels.shape[:2])
        found = np.asarray(Image.open(tmp_path / "maps" / f"{image_id}.png")).astype(np.float64)
        assert found.shape == expected.shape
        assert np.ptp(found) > 20
        assert np.abs(found - expected).max() < 0.51  # half a level, and float32
