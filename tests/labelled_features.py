"""Candidates and labelled points on which cosines are hard to order."""

from typing import Any

import numpy as np

from atal_ray.acquisition.rds import mean_similarity, nearest_similarity

BACKENDS = ("faiss", "numpy")
PHI: dict[Any, Any] = {"mean": mean_similarity, "nearest": nearest_similarity}
KINDS = ("random", "duplicated", "nearly equal", "zeros and tiny", "one label")


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """700 candidates and up to 60 labelled points, 24 channels."""
    rng = np.random.default_rng(1)
    features = rng.normal(1, 2, (700, 24)).astype(np.float32)
    labelled = rng.normal(1, 2, (60, 24)).astype(np.float32)
    match kind:
        case "random":
            pass
        case "duplicated":
            features, labelled = features[rng.integers(0, 40, 700)], labelled[rng.integers(0, 5, 60)]
        case "nearly equal":
            steps = rng.integers(0, 3, (700, 24)).astype(np.float32)
            features = np.ones((700, 24), np.float32) + steps * np.float32(2**-23)
            labelled[:30] = features[:30] * 3
        case "zeros and tiny":
            features[::3], features[1::7], labelled[4] = 0, features[1::7] * np.float32(1e-30), 0
        case "one label":
            labelled = labelled[:1]
    return features, labelled
