"""What a part of a method learns from the labelled pixels once the network of a round is trained."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # PyTorch takes two seconds to load, and a plug-in is looked up before
    from torch import Tensor

    from atal_ray.networks.protocol import SaliencyNetwork

State: TypeAlias = "Mapping[str, Tensor]"
"""Tensors by name, as they are kept in the folder of a round."""


@dataclass(frozen=True)
class LabelledBatch:
    """B images on the query grid, and their M labelled points; those labelled unsure are left out."""

    images: "Tensor"
    """[B, 3, S, S] in [0, 1], on the device of the networks."""
    image_id: list[str]
    """[B]"""
    of_image: npt.NDArray[np.int64]
    """Which of the B images a point belongs to [M]."""
    xy: npt.NDArray[np.int32]
    """Column and row [M, 2] in the original image."""
    cells: npt.NDArray[np.float64]
    """The same on the grid, not rounded [M, 2]; whole numbers are the middles of cells."""
    labels: npt.NDArray[np.uint8]
    """1 salient, 0 background [M]."""


class RoundData(Protocol):
    """The images of a campaign with the points that are labelled so far, and the networks of the round."""

    networks: "list[SaliencyNetwork]"
    """The members, frozen and in evaluation mode."""
    images: int
    """How many images there are."""
    seed: int
    """Of the campaign and the round."""
    campaign_seed: int
    """Of the campaign."""

    def batches(self, numbers: Collection[int] | None = None, size: int = 0) -> Iterator[LabelledBatch]:
        """The images of these numbers, from 0, in this order; unset: all of them.

        Images that cannot be read are left out. With `size` unset a batch has as many as the query's: what
        depends on the size of a batch sets it.
        """


class Fitted:
    """Base of what may be fitted; it is asked once a round, before the query."""

    fits: ClassVar[bool] = False
    """Whether `fit` is to be called, and its result given to every process as `state`."""
    state: State = MappingProxyType({})

    def check(self, network: "SaliencyNetwork") -> None:
        """Raise ConfigError for a network that it cannot ask; called before anything is trained."""

    def fit(self, data: RoundData) -> "dict[str, Tensor]":
        """Tensors by name, which depend on the data and its seed alone."""
        raise NotImplementedError
