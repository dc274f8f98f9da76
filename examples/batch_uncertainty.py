"""The uncertainty of a batch of images, by snapshots of one training and an attack (Eq. 1, 3, 6).

    python examples/batch_uncertainty.py runs/demo/round-01/snapshots photo1.jpg photo2.jpg

prints, for each image, the mean score, the shares of the three regions and its most uncertain pixel.
"""

from pathlib import Path

import numpy as np
import torch
import tyro

from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.uncertainty import REGION_NAMES, difference, region_kind
from atal_ray.config import AttackConfig, NetworkConfig
from atal_ray.data.images import read_image, resize
from atal_ray.networks import build, load_snapshot
from atal_ray.networks.inputs import to_batch


def main(snapshots: Path, photos: tuple[Path, ...], /, network: str = "f3net-small", side: int = 128) -> None:
    """Let the snapshots 1.pt, 2.pt, ... of a folder judge PHOTOS."""
    ensemble = []
    for file in sorted(snapshots.glob("*.pt"), key=lambda path: int(path.stem)):
        ensemble.append(build(NetworkConfig(name=network), load_weights=False).eval().requires_grad_(False))
        load_snapshot(ensemble[-1], file)
    images = np.stack([resize(read_image(str(photo)), side) for photo in photos])
    found = estimate(ensemble, to_batch(images, torch.device("cpu")), AttackConfig()).numpy()
    for photo, clean, attacked in zip(photos, found.clean, found.attacked, strict=True):
        score = difference(clean, attacked, "flip-margin")
        kinds = np.bincount(region_kind(clean, attacked, near_boundary=0.5).ravel(), minlength=3) / score.size
        regions = ", ".join(f"{name} {share:.1%}" for name, share in zip(REGION_NAMES, kinds, strict=True))
        row, column = divmod(int(score.argmax()), side)
        print(f"{photo.name}: mean score {score.mean():.3f}; {regions}; highest at x {column}, y {row}")


if __name__ == "__main__":
    tyro.cli(main)
