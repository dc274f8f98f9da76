"""Attack a photo as Eq. 1 of the paper does, and look at what it changes.

    python examples/attack_photo.py photo.jpg runs/demo/round-01/snapshots/2.pt

writes attack.png: photo and saliency map, attacked photo and saliency map. `make demo` leaves such snapshots.
"""

from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from atal_ray.acquisition.attack import pgd
from atal_ray.config import NetworkConfig
from atal_ray.data.images import read_image, resize
from atal_ray.networks import build, load_snapshot
from atal_ray.networks.inputs import to_batch


def main(photo: Path, snapshot: Path, /, network: str = "f3net-small", side: int = 128) -> None:
    """Attack PHOTO with the weights SNAPSHOT of a network."""
    model = build(NetworkConfig(name=network), load_weights=False).eval().requires_grad_(False)
    load_snapshot(model, snapshot)
    clean = to_batch(resize(read_image(str(photo)), side)[None], torch.device("cpu"))

    def logits(x: torch.Tensor) -> torch.Tensor:
        predicted: torch.Tensor = model(model.normalise(x)).logits[model.prediction]
        return predicted

    attacked = pgd(clean, logits, epsilon=8 / 255, alpha=2 / 255, steps=5)
    maps = [model.saliency(images)[0].expand(-1, 3, -1, -1) for images in (clean, attacked)]
    row = torch.cat([clean, maps[0], attacked, maps[1]], dim=3)[0].permute(1, 2, 0)
    Image.fromarray((255 * row.numpy()).round().astype(np.uint8)).save("attack.png")
    print(f"{((maps[0] > 0.5) != (maps[1] > 0.5)).float().mean():.1%} of the pixels change sides: attack.png")


if __name__ == "__main__":
    tyro.cli(main)
