"""How one budget was spread: how many points each image got."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atal_ray.report.figure import PALETTE, SHADES, chart
from atal_ray.report.numbers import Numbers


def spread_chart(numbers: Numbers) -> str:
    """Images over points: in each round that a network asked for, and in all rounds together."""
    asked = [found.points.images_with for found in numbers.rounds[1:]]
    together = numbers.images_with

    def draw(figure: Figure) -> None:
        panels: Any = figure.subplots(1, 2)
        shades = matplotlib.colormaps[SHADES](np.linspace(0.1, 0.9, len(asked))[::-1])
        for number, (images, color) in enumerate(zip(asked, shades, strict=True), start=1):
            panels[0].plot(np.arange(len(images)), images, marker="o", color=color, label=f"round {number}")
        panels[1].bar(np.arange(len(together)), together, color=PALETTE[0])
        for axes, title in zip(
            panels, ("points of an image in a round", "points of an image, all rounds"), strict=True
        ):
            axes.set(title=title, xlabel="points", ylabel="images", ylim=(0, None))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[0].legend(ncols=-(-len(asked) // 5))

    return chart(draw)
