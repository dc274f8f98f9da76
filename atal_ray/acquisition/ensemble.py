"""The ensemble of trajectory snapshots (TEUE, Eq. 2 and 6), and how alike its members are (Eq. 7)."""

from collections.abc import Iterable

import torch
from torch import Tensor

from atal_ray.errors import DataError


def mean_probability(probabilities: Iterable[Tensor]) -> Tensor:
    """Mean p = (p_1 + ... + p_L) / L of the members' maps (Eq. 2 for networks, Eq. 6 for snapshots).

    Maps are added in the order given, so that equal calls give equal bits; only one map has to exist at a
    time. Half-precision maps are added in float32.

    Args:
        probabilities: maps of one shape, in [0, 1].

    Returns:
        A map of that shape, float32 or float64.

    Raises:
        DataError: no map at all, or shapes that differ.
    """
    total: Tensor | None = None
    members = 0
    for members, probability in enumerate(probabilities, start=1):
        if total is None:
            total = probability.to(torch.promote_types(probability.dtype, torch.float32), copy=True)
        elif probability.shape == total.shape:
            total += probability
        else:
            raise DataError(
                f"ensemble: member {members} has shape {tuple(probability.shape)}, "
                f"the first has {tuple(total.shape)}"
            )
    if total is None:
        raise DataError("ensemble: no member to average; give at least one snapshot")
    return total / members


def homogenisation(before: Tensor, after: Tensor) -> float:
    """Mean absolute change between two outputs for the same images, one term of delta in Eq. 7.

    0 means that the two agree everywhere.

    Args:
        before: output of one snapshot, of any shape.
        after: output of the next one, of the same shape.

    Raises:
        DataError: shapes differ.
    """
    if before.shape != after.shape:
        raise DataError(
            f"homogenisation: outputs have shapes {tuple(before.shape)} and {tuple(after.shape)}; "
            "compare the same images"
        )
    return float((after.double() - before.double()).abs().mean())
