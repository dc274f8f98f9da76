"""Saliency maps and masks for the tests of the metrics."""

import numpy as np
import pytest

Pair = tuple[np.ndarray, np.ndarray]
KINDS = ("uint8", "uint16", "float32", "float64")


def random_pair(seed: int, kind: str = "uint8", largest: int = 12) -> Pair:
    """A small map of one dtype and a mask; some with few levels, flat parts, an empty or a full mask."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, largest, 2))
    mask = rng.random(shape) < rng.choice([0.0, 0.2, 0.5, 0.8, 1.0], p=[0.05, 0.3, 0.4, 0.2, 0.05])
    x = np.clip(rng.random(shape) * rng.uniform(0.2, 1) + mask * rng.uniform(0, 0.5), 0, 1)
    if seed % 4 == 0:
        x[: shape[0] // 2] = x[0, 0]
    if seed % 5 == 0:
        x = np.round(x * 3) / 3
    depth = {"uint8": 255, "uint16": 65_535}.get(kind)
    return (x * depth).astype(kind) if depth else x.astype(kind), mask


def normalised(saliency: np.ndarray) -> np.ndarray:
    """The map in [0, 1] by the convention that all metrics share, in plain terms."""
    if saliency.dtype.kind == "f":
        return saliency.astype(np.float64)
    values = saliency / np.iinfo(saliency.dtype).max
    return values if values.max() == values.min() else (values - values.min()) / (values.max() - values.min())


every_kind = pytest.mark.parametrize("kind", KINDS)
many_seeds = pytest.mark.parametrize("seed", range(15))
