"""The ensemble of trajectory snapshots (TEUE), and how alike its members are."""

from collections.abc import Iterable

import torch
from torch import Tensor

from atal_ray.errors import DataError


def mean_probability(probabilities: Iterable[Tensor]) -> Tensor:
    """Mean of the members' probability maps (Eq. 2 for networks, Eq. 6 for snapshots).

    Maps are added in the order given, so the result is the same to the last bit for the same order; only one
    map has to exist at a time. Half-precision maps are added in float32.

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
                f"ensemble: member {members} has shape {tuple(probability.shape)}, the first has {tuple(total.shape)}"
            )
    if total is None:
        raise DataError("ensemble: no member to average; give at least one snapshot")
    return total / members


def homogenisation(before: Tensor, after: Tensor) -> float:
    """Mean absolute change between two outputs for the same images, one term of delta in Eq. 7.

    Args:
        before: output of one member.
        after: output of the next one; a difference of 0 means that the two agree everywhere.

    Raises:
        DataError: shapes differ.
    """
    if before.shape != after.shape:
        raise DataError(
            f"homogenisation: outputs have shapes {tuple(before.shape)} and {tuple(after.shape)}; compare the same images"
        )
    return float((after.double() - before.double()).abs().mean())
