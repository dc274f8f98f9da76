"""Candidates whose covers are hard to find: equal, nearly equal or zero distances, large rounding errors."""

import numpy as np

KINDS = ("random", "float64", "clustered", "duplicated", "tied", "far from the origin", "nearly tied")


def squared_distances(positions: np.ndarray, pick: int) -> np.ndarray:
    """Of every candidate to one of them, in float64, summed over one column after the other."""
    squared = np.zeros(len(positions))
    for column in positions.astype(np.float64).T:
        squared += (column - column[pick]) ** 2
    return squared


def positions_of(kind: str, seed: int) -> np.ndarray:
    """900 candidates of a kind."""
    rng = np.random.default_rng(seed)
    match kind:
        case "random":
            return rng.standard_normal((900, 16), np.float32)
        case "float64":
            return rng.standard_normal((900, 16))
        case "clustered":
            centres = np.repeat(rng.normal(0, 10, (9, 16)), 100, axis=0).astype(np.float32)
            return centres + rng.standard_normal((900, 16), np.float32)
        case "duplicated":
            return rng.standard_normal((90, 16), np.float32)[rng.integers(0, 90, 900)]
        case "tied":
            return rng.integers(0, 6, (900, 4)).astype(np.float32)
        case "far from the origin":
            return rng.standard_normal((900, 16), np.float32) + np.float32(1000)
        case "nearly tied":
            corners = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)[rng.integers(0, 4, 900)]
            last_bits = rng.integers(0, 4, (900, 1)) * np.float32(2**-23)
            return corners * (1 + last_bits).astype(np.float32)
        case _:
            raise ValueError(kind)
