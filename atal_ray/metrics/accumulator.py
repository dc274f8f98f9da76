"""The metrics of a test set, summed image by image.

The sums are integers, multiples of 2^-60, because integer addition does not depend on its order: a test set
scores the same bits in one shard or in a hundred, in whatever order they arrive (float sums would differ in
the last bits).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as default_of
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from atal_ray.errors import DataError
from atal_ray.metrics.fmeasure import f_measure, max_f
from atal_ray.metrics.histogram import THRESHOLDS, Mask, Saliency
from atal_ray.metrics.scores import CURVES, LENGTHS, Scores, score

_UNIT = 2**60  # what a score of 1 is in the integer sums
_HALF = 2**30  # a sum is stored in two parts, since Arrow's integers end at 2^63
_LARGEST = 2  # of a score; E exceeds 1 by 1 / (N - 1)


@dataclass(frozen=True)
class Metrics:
    """Means over the images of a test set, each image counting the same."""

    images: int
    max_f: float
    """Classic maxF, from the mean precision and recall."""
    mae: float
    s_measure: float
    weighted_f: float
    e_adaptive: float
    e_mean: float
    """Mean over the thresholds of the mean E curve."""
    e_max: float
    """Maximum of the mean E curve."""
    e_soft: float
    """E of {map > 0}, an inferred variant of some published tables."""
    f_adaptive: float
    """Mean of the images' adaptive F."""
    f_mean: float
    """Mean over the thresholds of the mean F curve."""
    f_max: float
    """Maximum of the mean F curve, about 0.02 below `max_f`."""
    f_of_mean_pr: float
    """F of the mean precision and the mean recall at the images' adaptive thresholds."""
    precision: tuple[float, ...]
    """Mean precision at the thresholds 0..255."""
    recall: tuple[float, ...]
    """Mean recall at the thresholds 0..255."""
    f_curve: tuple[float, ...]
    """Mean of the images' F at the thresholds 0..255."""
    e_curve: tuple[float, ...]
    """Mean of the images' E at the thresholds 0..255."""
    own: Mapping[str, float] = default_of(default_factory=dict)
    """Means of the metrics that `data.metrics` adds, by name."""

    def to_json(self) -> dict[str, Any]:
        """Numbers and lists only; `from_json` gives an equal object back, bit by bit."""
        found = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }
        return found if self.own else {name: value for name, value in found.items() if name != "own"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The object that `to_json` wrote; DataError for other fields, or curves of another length."""
        if data.keys() | {"own"} != cls.__dataclass_fields__.keys():
            known = sorted(cls.__dataclass_fields__)
            raise DataError(f"metrics: fields are {sorted(data)}, expected {known}: evaluate again")
        for curve in CURVES:
            if len(data[curve]) != THRESHOLDS:
                raise DataError(
                    f"metrics, {curve}: {len(data[curve])} values, expected {THRESHOLDS}: evaluate again"
                )
        return cls(**{**data, **{curve: tuple(data[curve]) for curve in CURVES}})


class Accumulator:
    """Running sums of the per-image metrics; its size does not depend on the number of images.

    Each value is rounded to a multiple of 2^-60, so a mean is within 2^-61 of that of the float64 values.
    """

    def __init__(self) -> None:
        self.images = 0
        # arrays of Python integers, which never overflow
        self._sums = {name: np.zeros(length, object) for name, length in LENGTHS.items()}

    def add(self, saliency: Saliency, mask: Mask, name: str = "saliency map") -> Scores:
        """Score one image, add it, and give back its scores.

        Args:
            saliency: uint8 or uint16 [H, W], or float [H, W] in [0, 1].
            mask: bool [H, W].
            name: what to call the image in the message.

        Raises:
            DataError: see `check_pair`; the sums are as before.
        """
        scores = score(saliency, mask, name)
        units = {field: _units(values) for field, values in scores.items()}  # may refuse a value
        self.images += 1
        for field, added in units.items():
            self._sums[field] += added
        return scores

    def merge(self, other: "Accumulator") -> None:
        """Add the images of another shard, which stays as it is."""
        self.images += other.images
        for field, totals in other._sums.items():
            self._sums[field] += totals

    def state(self) -> dict[str, Any]:
        """Integers below 2^63 and lists of them, for JSON and Arrow; a sum as [sum // 2^30, sum % 2^30]."""
        parts = {field: [[*divmod(total, _HALF)] for total in totals] for field, totals in self._sums.items()}
        return {"images": self.images, **parts}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The accumulator that `state` came from.

        Raises:
            DataError: a field is missing, unknown or of another length.
        """
        accumulator = cls()
        expected = {"images", *LENGTHS}
        if state.keys() != expected:
            raise DataError(
                f"metric sums: fields are {sorted(state)}, expected {sorted(expected)}: "
                "evaluate this shard again"
            )
        accumulator.images = int(state["images"])
        for field, length in LENGTHS.items():
            if len(state[field]) != length:
                raise DataError(
                    f"metric sums, {field}: {len(state[field])} values, expected {length}: "
                    "evaluate this shard again"
                )
            accumulator._sums[field][:] = [int(high) * _HALF + int(low) for high, low in state[field]]
        return accumulator

    def summary(self) -> Metrics:
        """The means; DataError without an image."""
        if self.images == 0:
            raise DataError("metrics: no image was scored: check that the test set has images with masks")
        means = {
            field: np.array([total / (self.images * _UNIT) for total in totals])
            for field, totals in self._sums.items()
        }
        f, e = means["f_curve"], means["e_curve"]
        values: dict[str, Any] = {
            name: means[name].item()
            for name in LENGTHS
            if name in Metrics.__dataclass_fields__ and name not in CURVES
        }
        values |= {name: tuple(means[name].tolist()) for name in CURVES}
        values |= {
            "f_mean": f.mean().item(),
            "f_max": f.max().item(),
            "e_mean": e.mean().item(),
            "e_max": e.max().item(),
        }
        return Metrics(
            images=self.images,
            max_f=max_f(means["precision"], means["recall"]),
            f_of_mean_pr=f_measure(means["precision_adaptive"], means["recall_adaptive"]).item(),
            **values,
        )


def _units(values: NDArray[np.float64]) -> NDArray[np.object_]:
    """Values in [0, 2] as Python integers, multiples of 2^-60; exact for values from 2^-8 on."""
    if not (values.min() >= 0 and values.max() <= _LARGEST):
        raise DataError(
            f"a score of {values.min()} to {values.max()} cannot be summed: scores lie in [0, {_LARGEST}]"
        )
    return np.rint(values * _UNIT).astype(np.int64).astype(object)
