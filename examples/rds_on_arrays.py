"""Representative diverse sampling (Eq. 9, 10) on plain arrays: from an uncertainty map to ten pixels.

    python examples/rds_on_arrays.py

prints what is asked for, and how near to each other the most uncertain pixels would have been.
"""

import numpy as np
from numpy.typing import NDArray

from atal_ray.acquisition.candidates import candidate_set
from atal_ray.acquisition.rds import select

SIDE, CHANNELS, POINTS = 96, 16, 10


def closest(pixels: NDArray[np.float64]) -> float:
    """The smallest distance between two of the pixels [N, 2]."""
    gaps = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
    return float(gaps[np.triu_indices(len(pixels), 1)].min())


rng = np.random.default_rng(0)
y, x = np.mgrid[:SIDE, :SIDE]
from_outline = np.abs(np.hypot(y - 48, x - 48) - 24)  # of a disc, where the network is unsure
uncertainty = np.exp(-from_outline / 4)
features = rng.standard_normal((SIDE, SIDE, CHANNELS))
free = np.ones((SIDE, SIDE), bool)
free[48, 48] = False  # the one labelled pixel
candidates = candidate_set(uncertainty, free, SIDE**2 // 10, rng.random((SIDE, SIDE)))  # the top K = 10 %
rows, columns = np.divmod(candidates, SIDE)
positions = np.stack([rows, columns], axis=1).astype(np.float64)
vectors, labelled = features[rows, columns], features[48, 48][None]
chosen = select(positions, vectors.__getitem__, labelled, POINTS, 10 * POINTS, "kcenter")
for row, column in positions[chosen].astype(int):
    print(f"ask at x {column}, y {row}: uncertainty {uncertainty[row, column]:.2f}")
print(f"closest two: {closest(positions[chosen]):.1f} px")
print(f"closest two of the {POINTS} most uncertain: {closest(positions[:POINTS]):.1f} px")
