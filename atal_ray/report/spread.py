"""How one budget was spread: how many points each image got."""

from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atal_ray.report.figure import PALETTE, SHADES, chart
from atal_ray.report.numbers import Numbers

Counts = npt.NDArray[np.int64]


def points_of_images(numbers: Numbers, points: pa.Table) -> Counts:
    """How many of the points each image of the manifest has, in its order."""
    found = np.asarray(pc.index_in(points["image_id"], numbers.manifest["image_id"]), np.int64)
    return np.bincount(found, minlength=numbers.manifest.num_rows)


def spread_chart(numbers: Numbers) -> str:
    """Images over points: in each round that a network asked for, and in all rounds together."""
    asked = [points_of_images(numbers, found.points) for found in numbers.rounds[1:]]
    together = np.bincount(points_of_images(numbers, numbers.points))

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, 2)
        shades = matplotlib.colormaps[SHADES](np.linspace(0.1, 0.9, len(asked))[::-1])
        for number, (counts, color) in enumerate(zip(asked, shades, strict=True), start=1):
            images = np.bincount(counts)
            panels[0].plot(np.arange(len(images)), images, marker="o", color=color, label=f"round {number}")
        panels[1].bar(np.arange(len(together)), together, color=PALETTE[0])
        for axes, title in zip(
            panels, ("points of an image in a round", "points of an image, all rounds"), strict=True
        ):
            axes.set(title=title, xlabel="points", ylabel="images", ylim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0].legend(ncols=-(-len(asked) // 5))

    return chart(draw)
