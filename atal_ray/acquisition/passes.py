"""How many passes of a network a method takes, so that its cost stands beside its benefit."""

from dataclasses import dataclass

from atal_ray.acquisition.asking import Asking
from atal_ray.config import AttackConfig


@dataclass(frozen=True)
class Passes:
    """Passes for one image."""

    gradient: int = 0
    """With the gradient of the image."""
    plain: int = 0
    """Without."""
    decoder: int = 0
    """Of the decoder alone, on what the encoder gave once."""


def passes_of(asking: Asking, attack: AttackConfig, snapshots: int) -> Passes:
    """What `predictions.predict` takes for each image.

    Args:
        asking: the method.
        attack: how images are attacked, where that is wanted.
        snapshots: of a round.
    """
    if not asking.looks:
        return Passes()
    wants, members = asking.wants, len(asking.speaking(range(snapshots)))
    if not wants.attacked:
        return Passes(plain=1, decoder=wants.passes) if wants.passes > 1 else Passes(plain=members)
    attacked = 1 if attack.model == "last" else members
    clean = (
        members - attacked if attack.scale == 1 else members
    )  # the first step of the attack is a clean pass
    again = members if wants.members or wants.beside else 0
    return Passes(gradient=attack.steps * attacked, plain=clean + members + again)
