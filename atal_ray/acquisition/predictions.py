"""What the members of a method say of images: as much of it as the method wants, and no pass more."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atal_ray.acquisition.ensemble import mean_probability
from atal_ray.acquisition.estimate import Estimate, estimate
from atal_ray.acquisition.seen import Seen
from atal_ray.config import AttackConfig
from atal_ray.errors import DataError
from atal_ray.networks.dropout import drawing
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput


@dataclass(frozen=True)
class Wants:
    """What a method looks at."""

    attacked: bool = False
    """The members' mean on attacked images (Eq. 1)."""
    features: bool = False
    """The last decoder features of the last member."""
    members: bool = False
    """Each member's own map."""
    beside: bool = False
    """What the module beside the last member gives."""
    passes: int = 1
    """Passes with dropout that stand for as many members."""

    @property
    def plain(self) -> bool:
        """Whether it needs the networks themselves: what is made of them for speed has no modules."""
        return self.beside or self.passes > 1


@dataclass(frozen=True)
class Predictions:
    """What M members say of a batch of B images, in float32 where the members are."""

    clean: Tensor
    """Their mean p(x) [B, S, S] (Eq. 6)."""
    attacked: Tensor | None = None
    """Their mean p(x_adv) [B, S, S], where it is wanted."""
    features: Tensor | None = None
    """Last decoder features of the last member [B, C, h, w], where they are wanted."""
    members: Tensor | None = None
    """Each member's p(x) [B, M, S, S], where they are wanted."""
    beside: Tensor | None = None
    """What the module beside the last member gives [B, E, h, w], where it is wanted."""

    def cpu(self) -> "Predictions":
        """The same on the CPU."""
        return Predictions(**{name: part.cpu() for name, part in vars(self).items() if part is not None})

    def of(self, index: int) -> Seen:
        """All that they say of one image."""
        parts = {name: part for name, part in vars(self).items() if part is not None}
        return Seen(**{name: part[index].cpu().numpy() for name, part in parts.items()})


@torch.no_grad()
def predict(
    networks: Sequence[SaliencyNetwork],
    images: Tensor,
    wants: Wants,
    attack: AttackConfig,
    labels: Tensor | None = None,
    known: Tensor | None = None,
    chances: Sequence[np.random.Generator] = (),
    recorded: Callable[..., Estimate[Tensor]] | None = None,
) -> Predictions:
    """Let the members look at images.

    Without an attack it takes M passes; what an attack takes is said in `estimate`. T passes with dropout run
    the encoder once and the decoder T times.

    Args:
        networks: the members, frozen and in evaluation mode.
        images: [B, 3, S, S] in [0, 1].
        wants: what is to be found.
        attack: how images are attacked, where that is wanted.
        labels: as for `estimate`.
        known: as for `estimate`.
        chances: where passes have dropout, one for each image.
        recorded: `estimate` of these members and this attack in a faster form, of images, labels and known.

    Raises:
        DataError: there is no member; see `estimate`.
    """
    if not networks:
        raise DataError("predict: no network; give at least one")
    if wants.passes > 1 and not wants.attacked:
        return _dropped(networks[-1], images, wants, chances)
    if not wants.attacked:
        return _unattacked(networks, images, wants)
    if recorded is None:
        found = estimate(networks, images, attack, labels, known)
    else:
        found = recorded(images, *(part for part in (labels, known) if part is not None))
    clean = _unattacked(networks, images, wants) if wants.members or wants.beside else None
    return Predictions(
        found.clean,
        found.attacked,
        found.features if wants.features else None,
        None if clean is None else clean.members,
        None if clean is None else clean.beside,
    )


def _unattacked(networks: Sequence[SaliencyNetwork], images: Tensor, wants: Wants) -> Predictions:
    maps: list[Tensor] = []
    last: list[SaliencyOutput] = []

    def each() -> Iterator[Tensor]:
        for network in networks:
            output = network(network.normalise(images))
            last[:] = [output]
            probability = torch.sigmoid(output.logits[network.prediction])
            if wants.members:
                maps.append(probability)
            yield probability

    clean = mean_probability(each())
    beside = last[0].beside if wants.beside else None
    return Predictions(
        clean[:, 0].float(),
        features=last[0].features.float() if wants.features else None,
        members=torch.cat(maps, 1).float() if wants.members else None,
        beside=None if beside is None else beside.float(),
    )


def _dropped(
    network: SaliencyNetwork, images: Tensor, wants: Wants, chances: Sequence[np.random.Generator]
) -> Predictions:
    """Passes of one network with dropout: each image has draws of its own, whatever else is in its batch."""
    x = network.normalise(images)
    levels = network.encode(x)
    features = network.decode(levels, x).features if wants.features else None

    def draw(channels: int) -> Tensor:
        numbers = np.stack([chance.random(channels, np.float32) for chance in chances])
        return torch.from_numpy(numbers).to(images.device)

    maps = []
    with drawing(network, draw):
        for _ in range(wants.passes):
            logits = network.decode(tuple(map(network.drop, levels)), x).logits[network.prediction]
            maps.append(torch.sigmoid(logits))
    return Predictions(
        mean_probability(maps)[:, 0].float(),
        features=None if features is None else features.float(),
        members=torch.cat(maps, 1).float() if wants.members else None,
    )
