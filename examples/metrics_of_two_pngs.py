"""Every metric of one saliency map against its mask.

    python examples/metrics_of_two_pngs.py map.png mask.png

For whole test sets, with means and tables: `atal evaluate`.
"""

from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from atal_ray.data.images import read_mask
from atal_ray.metrics.scores import image_row, score


def main(saliency: Path, mask: Path, /) -> None:
    """Print the metrics of the map SALIENCY; a pixel of MASK is salient above 128 of 255."""
    levels = np.asarray(Image.open(saliency).convert("L"))
    for name, value in image_row(score(levels, read_mask(str(mask)) > 0, saliency.name)).items():
        print(f"{name:20} {value:.4f}")


if __name__ == "__main__":
    tyro.cli(main)
