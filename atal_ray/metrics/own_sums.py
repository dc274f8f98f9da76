"""The metrics that a configuration adds to the standard ones: by name, and summed over images."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Self

import numpy as np
import numpy.typing as npt

from atal_ray.config.plugins import Registry
from atal_ray.errors import DataError
from atal_ray.metrics.image_metric import ImageMetric

METRICS: Registry[ImageMetric] = Registry(
    "data.metrics", "atal_ray.metrics.image_metric:ImageMetric", {"iou": "atal_ray.metrics.iou:Iou"}
)
"""By name; a new one is a file and a line here."""


def label_of(name: str) -> str:
    """How a table names a metric, with the direction that is better."""
    kind = METRICS.find(name)
    return f"{kind.label or name.rpartition(':')[2]} {'↑' if kind.higher_is_better else '↓'}"


class OwnSums:
    """Exact sums over images, the same in whatever order they come.

    Args:
        names: of the metrics.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.images = 0
        self._sums = {name: Fraction(0) for name in names}
        self._metrics = {name: METRICS.find(name)() for name in names}

    def add(self, saliency: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], image: str) -> None:
        """Score an image; DataError where a metric gives no finite number for it."""
        values = {name: float(metric(saliency, mask)) for name, metric in self._metrics.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise DataError(f"the metric {name} gives {value} for {image}: it must give a finite number")
        self.images += 1
        for name, value in values.items():
            self._sums[name] += Fraction(value)

    def merge(self, state: Mapping[str, str]) -> None:
        """Add the images of another shard, by its `state`."""
        self.images += int(state["images"])
        for name in self._sums:
            self._sums[name] += Fraction(state[name])

    def state(self) -> dict[str, str]:
        """The sums as text."""
        return {"images": str(self.images), **{name: str(value) for name, value in self._sums.items()}}

    def means(self) -> dict[str, float]:
        """The mean of each metric over the images."""
        return {name: float(value / self.images) for name, value in self._sums.items()}

    @classmethod
    def of(cls, names: Sequence[str], states: Sequence[Mapping[str, str]]) -> Self:
        """The sums of several shards."""
        sums = cls(names)
        for state in states:
            sums.merge(state)
        return sums
