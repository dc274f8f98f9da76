"""Networks whose weights are numbers that depend on their names alone, to compare forward passes exactly."""

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from atal_ray.networks.protocol import SaliencyNetwork


def fill(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that depend on the published key alone, of the scale that its parameter has."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if key.endswith("running_mean"):
        values = 0.05 * rng.standard_normal(shape)
    elif key.endswith("running_var"):
        values = 1 + 0.1 * rng.random(shape)
    elif len(shape) == 4:
        values = rng.standard_normal(shape) * math.sqrt(1 / math.prod(shape[1:]))
    elif key.endswith(".bias"):
        values = 0.02 * rng.standard_normal(shape)
    else:
        values = 1 + 0.1 * rng.standard_normal(shape)
    return values.astype(np.float32)


def images(batch: int, height: int, width: int) -> Tensor:
    """Normalised images, float64 [B, 3, H, W]."""
    rng = np.random.Generator(np.random.PCG64(12345))
    return torch.from_numpy(rng.standard_normal((batch, 3, height, width)).astype(np.float32)).double()


def fill_network(network: SaliencyNetwork) -> None:
    """Give every parameter and buffer its numbers."""
    state = network.state_dict()
    numbers = {key: torch.as_tensor(fill(key, tuple(value.shape))) for key, value in state.items()}
    network.load_state_dict({key: numbers[key].to(value.dtype) for key, value in state.items()})
