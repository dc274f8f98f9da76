"""What clicks teach: each one labels the connected part of its SEEDS superpixel.

    python examples/superpixel_labels.py photo.jpg 80,60,1 5,5,0

writes labels.png: red where the label is salient, blue where it is background. A click is column,row,label.
"""

from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from atal_ray.config import RegionConfig
from atal_ray.data.images import read_image
from atal_ray.labels.points import BACKGROUND, SALIENT
from atal_ray.labels.regions import region_labels
from atal_ray.labels.superpixels import superpixels

COLOURS = {SALIENT: (255, 0, 0), BACKGROUND: (0, 0, 255)}


def main(photo: Path, clicks: tuple[str, ...], /) -> None:
    """Label the superpixels of PHOTO under CLICKS."""
    image = read_image(str(photo))
    points = np.array([click.split(",") for click in clicks], np.int32)
    regions = superpixels(image, RegionConfig())
    labels = region_labels(
        regions, points[:, :2], points[:, 2].astype(np.uint8), image.shape[:2], "propagate"
    )
    shown = image.copy()
    for label, colour in COLOURS.items():
        shown[labels == label] = (image[labels == label] * 0.4 + np.array(colour) * 0.6).astype(np.uint8)
        print(f"label {label}: {100 * (labels == label).mean():.2f} % of the pixels")
    Image.fromarray(shown).save("labels.png")


if __name__ == "__main__":
    tyro.cli(main)
