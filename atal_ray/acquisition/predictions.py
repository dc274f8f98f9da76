"""What the members of a method say of images: as much of it as the method wants, and no pass more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atal_ray.acquisition.ensemble import mean_probability
from atal_ray.acquisition.estimate import estimate
from atal_ray.acquisition.seen import Seen
from atal_ray.config import AttackConfig
from atal_ray.errors import DataError
from atal_ray.networks.protocol import SaliencyNetwork

Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Wants:
    """What a method looks at."""

    attacked: bool = False
    """The members' mean on attacked images (Eq. 1)."""
    features: bool = False
    """The last decoder features of the last member."""
    members: bool = False
    """Each member's own map."""


@dataclass(frozen=True)
class Predictions:
    """What M members say of a batch of B images, as arrays on the CPU."""

    clean: Maps
    """Their mean p(x) [B, S, S] (Eq. 6)."""
    attacked: Maps | None = None
    """Their mean p(x_adv) [B, S, S], where it is wanted."""
    features: Maps | None = None
    """Last decoder features of the last member [B, C, h, w], where they are wanted."""
    members: Maps | None = None
    """Each member's p(x) [B, M, S, S], where they are wanted."""

    def of(self, index: int) -> Seen:
        """What they say of one image."""
        parts = {"attacked": self.attacked, "features": self.features, "members": self.members}
        return Seen(
            self.clean[index], **{name: part[index] for name, part in parts.items() if part is not None}
        )


@torch.no_grad()
def predict(
    networks: Sequence[SaliencyNetwork],
    images: Tensor,
    wants: Wants,
    attack: AttackConfig,
    labels: Tensor | None = None,
    known: Tensor | None = None,
) -> Predictions:
    """Let the members look at images.

    Without an attack it takes M passes; what an attack takes is said in `estimate`.

    Args:
        networks: the members, frozen and in evaluation mode.
        images: [B, 3, S, S] in [0, 1].
        wants: what is to be found.
        attack: how images are attacked, where that is wanted.
        labels: as for `estimate`.
        known: as for `estimate`.

    Raises:
        DataError: there is no member; see `estimate`.
    """
    if not networks:
        raise DataError("predict: no network; give at least one")
    if not wants.attacked:
        return _unattacked(networks, images, wants)
    found = estimate(networks, images, attack, labels, known)
    members = _unattacked(networks, images, wants).members if wants.members else None
    return Predictions(found.clean, found.attacked, found.features if wants.features else None, members)


def _unattacked(networks: Sequence[SaliencyNetwork], images: Tensor, wants: Wants) -> Predictions:
    maps: list[Tensor] = []
    features = images  # of the last member

    def each() -> Iterator[Tensor]:
        nonlocal features
        for network in networks:
            probability, features = network.saliency(images)
            if wants.members:
                maps.append(probability)
            yield probability

    clean = mean_probability(each())
    return Predictions(
        _array(clean[:, 0]),
        features=_array(features) if wants.features else None,
        members=_array(torch.cat(maps, 1)) if wants.members else None,
    )


def _array(values: Tensor) -> Maps:
    found: Maps = values.float().cpu().numpy()
    return found
