"""An exported network gives the maps of the network, for pictures of any size, in a program without ours."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from toy_network import TwoHeads

from atal_ray import networks
from atal_ray.config import NetworkConfig
from atal_ray.errors import CheckpointError
from atal_ray.inference.exported import exported
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput

SIDE = 64


def network(name: str) -> SaliencyNetwork:
    """With batch norms that fit its random weights: logits of thousands hold no map to compare."""
    torch.manual_seed(2)
    found = networks.build(NetworkConfig(name=name)).train().requires_grad_(False)
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    found(found.normalise(pictures(8, SIDE, SIDE) / 255))
    return found.eval()


def pictures(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def naive(plain: SaliencyNetwork, images: Tensor) -> Tensor:
    """Resize, round, predict, resize the logits, sigmoid; one picture after another."""
    maps = []
    for image in images:
        x = functional.interpolate(image[None].float(), (SIDE, SIDE), mode="bilinear").round() / 255
        maps.append(saliency_maps(predict([plain], x)[:, 0], (image.shape[1], image.shape[2]))[0])
    return torch.stack(maps)


@pytest.mark.parametrize("name", ["toy_network:TwoHeads", "f3net-small"])
@pytest.mark.parametrize("size", [(SIDE, SIDE), (41, 90), (130, 77)])
def test_maps_are_those_of_the_network(name: str, size: tuple[int, int]) -> None:
    plain = network(name)
    made = exported(plain, SIDE)
    for count in (1, 3):
        images = pictures(count, *size)
        found = made(images)
        assert found.shape == (count, *size)
        assert float((found - naive(plain, images)).abs().max()) < 1e-4


@pytest.mark.slow
def test_another_program_needs_pytorch_alone(tmp_path: Path) -> None:
    plain, images = network("toy_network:TwoHeads"), pictures(2, 50, 60)
    torch.jit.save(exported(plain, SIDE), str(tmp_path / "network.ts"))
    np.save(tmp_path / "images.npy", images.numpy())
    script = (
        "import sys, numpy, torch\n"
        "images = torch.from_numpy(numpy.load('images.npy'))\n"
        "numpy.save('maps.npy', torch.jit.load('network.ts')(images).numpy())\n"
        "assert not any(name.startswith(('atal_ray', 'toy_network')) for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True)
    found = torch.from_numpy(np.load(tmp_path / "maps.npy"))
    assert float((found - naive(plain, images)).abs().max()) < 1e-4


class Fickle(TwoHeads):
    """Computes something else for bright images."""

    def forward(self, x: Tensor) -> SaliencyOutput:
        return super().forward(x if float(x.mean()) > 100 else -x) if len(x) == 2 else super().forward(x)


def test_a_network_that_depends_on_its_images_is_refused() -> None:
    with pytest.raises(CheckpointError, match="Fickle cannot be exported"):
        exported(Fickle().eval().requires_grad_(False), SIDE)
