"""The metrics of a test set, summed image by image in any number of shards with one and the same result."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError
from atal_ray.metrics.fmeasure import max_f, pr_curve_of
from atal_ray.metrics.histogram import LEVELS, Mask, UInt8Map
from atal_ray.metrics.mae import mae_of
from atal_ray.metrics.smeasure import quadrant_histograms, s_measure_of

_UNIT = 2**60  # an image's value becomes an integer multiple of 2^-60: integer sums do not depend on their order
_LIMB = 2**32  # a sum travels as two integers, because Arrow's end at 2^63
_VALUES = {"mae": 1, "s_measure": 1, "precision": LEVELS, "recall": LEVELS}  # what is averaged, and how many values an image has


@dataclass(frozen=True)
class Metrics:
    """Unweighted means over the images of a test set."""

    images: int
    max_f: float
    """Classic maxF, from the mean curves below."""
    mae: float
    s_measure: float
    precision: tuple[float, ...]
    """Mean precision at the thresholds 0..255."""
    recall: tuple[float, ...]
    """Mean recall at the thresholds 0..255."""

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only; `from_json` gives an equal object back, bit by bit."""
        return {**asdict(self), "precision": list(self.precision), "recall": list(self.recall)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The object that `to_json` wrote; DataError names missing or unknown fields and curves of another length."""
        if data.keys() != cls.__dataclass_fields__.keys():
            raise DataError(f"metrics: fields are {sorted(data)}, expected {sorted(cls.__dataclass_fields__)}: evaluate again")
        for curve in ("precision", "recall"):
            if len(data[curve]) != LEVELS:
                raise DataError(f"metrics, {curve}: {len(data[curve])} values, expected {LEVELS}: evaluate again")
        return cls(**{**data, "precision": tuple(data["precision"]), "recall": tuple(data["recall"])})


class Accumulator:
    """Running sums of the per-image metrics; its size does not depend on the number of images.

    Each value is rounded to a multiple of 2^-60, so a mean is within 2^-61 of that of the float64 values.
    """

    def __init__(self) -> None:
        self.images = 0
        self._sums = {name: [0] * length for name, length in _VALUES.items()}

    def add(self, saliency: UInt8Map, mask: Mask, name: str = "saliency map") -> None:
        """Score one image and add it.

        Args:
            saliency: uint8 [H, W].
            mask: bool [H, W].
            name: what to call the image in the message.

        Raises:
            DataError: see `check_pair`; the sums are as before.
        """
        scores = _score(saliency, mask, name)
        self.images += 1
        for field, values in scores.items():
            # exact but for the rounding: a power of two only moves the exponent, and every value is at most 1
            units = np.rint(values * _UNIT).astype(np.int64).tolist()
            self._sums[field] = [total + unit for total, unit in zip(self._sums[field], units, strict=True)]

    def merge(self, other: "Accumulator") -> None:
        """Add the images of another shard, which stays as it is."""
        self.images += other.images
        for field, totals in other._sums.items():
            self._sums[field] = [mine + theirs for mine, theirs in zip(self._sums[field], totals, strict=True)]

    def state(self) -> dict[str, Any]:
        """Integers and lists of them, each below 2^63: for JSON, Arrow columns and Ray objects."""
        return {"images": self.images, **{field: [list(divmod(total, _LIMB)) for total in totals] for field, totals in self._sums.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The accumulator that `state` came from.

        Raises:
            DataError: a field is missing, unknown or of another length.
        """
        accumulator = cls()
        expected = {"images", *_VALUES}
        if state.keys() != expected:
            raise DataError(f"metric sums: fields are {sorted(state)}, expected {sorted(expected)}: evaluate this shard again")
        accumulator.images = int(state["images"])
        for field, length in _VALUES.items():
            if len(state[field]) != length:
                raise DataError(f"metric sums, {field}: {len(state[field])} values, expected {length}: evaluate this shard again")
            accumulator._sums[field] = [int(high) * _LIMB + int(low) for high, low in state[field]]
        return accumulator

    def summary(self) -> Metrics:
        """The means; DataError without an image."""
        if self.images == 0:
            raise DataError("metrics: no image was scored: check that the test set has images with masks")
        means = {field: [total / (self.images * _UNIT) for total in totals] for field, totals in self._sums.items()}
        return Metrics(
            images=self.images,
            max_f=max_f(np.array(means["precision"]), np.array(means["recall"])),
            mae=means["mae"][0],
            s_measure=means["s_measure"][0],
            precision=tuple(means["precision"]),
            recall=tuple(means["recall"]),
        )


def _score(saliency: UInt8Map, mask: Mask, name: str) -> dict[str, NDArray[np.float64]]:
    """The values of one image by the names in _VALUES: a metric is added here, there and in `Metrics`."""
    quadrants = quadrant_histograms(saliency, mask, name)  # the only pass over the pixels
    counts = quadrants.sum(axis=0)
    precision, recall = pr_curve_of(counts)
    return {
        "mae": np.array([mae_of(counts)]),
        "s_measure": np.array([s_measure_of(quadrants)]),
        "precision": precision,
        "recall": recall,
    }
