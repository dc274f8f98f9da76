"""Images on their way into a network: where it computes, and what it reads."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def choose_device(gpus: str) -> torch.device:
    """The first GPU that this process sees, unless `gpus` is none; else the CPU."""
    return torch.device("cuda" if gpus != "none" and torch.cuda.is_available() else "cpu")


def to_batch(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """RGB in [0, 1], float32 [B, 3, S, S], of images uint8 [B, S, S, 3]."""
    return (
        torch.from_numpy(np.require(images, requirements=("C", "W"))).to(device).permute(0, 3, 1, 2).float()
        / 255
    )
