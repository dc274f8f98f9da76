"""The device a network computes on, and its input batches."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atal_ray.errors import CampaignError


def choose_device(gpus: str) -> torch.device:
    """The first GPU that this process sees, unless `gpus` is none; else the CPU.

    Raises:
        CampaignError: `gpus` is require, and it sees none.
    """
    there = gpus != "none" and torch.cuda.is_available()
    if gpus == "require" and not there:
        raise CampaignError(
            "resources.gpus is require, but PyTorch sees no GPU here: install its CUDA build, or use auto"
        )
    return torch.device("cuda" if there else "cpu")


def to_batch(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """RGB in [0, 1], float32 [B, 3, S, S], of images uint8 [B, S, S, 3]."""
    pixels = torch.from_numpy(np.require(images, requirements=("C", "W"))).to(device)
    return pixels.permute(0, 3, 1, 2).float() / 255
