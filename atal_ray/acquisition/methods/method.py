"""The interface of a method of active learning."""

from typing import Any, ClassVar, Literal

from atal_ray.acquisition.fitted import Fitted
from atal_ray.config import NetworkConfig
from atal_ray.config.plugins import Plugin

Members = Literal["trajectory", "newest", "dropout", "searched"]
"""Who speaks: all snapshots (or networks) of the round's training; the newest one; the newest one in several
passes with dropout; or those that the method's own `fit` names in its state `members`, counted from 0.
"""


class Method(Plugin, Fitted):
    """Who is asked how uncertain pixels are, and how they are taken by it.

    `query.score` and `query.strategy` take the place of a method's own, so that each part can be tried alone.

    Args:
        settings: an instance of `Settings`, or None where it has none.
    """

    members: ClassVar[Members] = "newest"
    networks: ClassVar[bool] = False
    """Whether its members are networks that were trained apart (`train.ensemble networks`)."""
    held_out: ClassVar[float] = 0.0
    """Share of the labelled points that no network is trained on: its `fit` judges networks by them."""
    score: ClassVar[str] = "entropy"
    """Name or module:Class of its score; of no account where its strategy looks at none."""
    strategy: ClassVar[str] = "top"
    """Name or module:Class of its strategy."""

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings

    @property
    def passes(self) -> int:
        """Passes of the newest snapshot for members "dropout"."""
        return 1

    def network(self, config: NetworkConfig, number: int, seed: int) -> NetworkConfig:
        """The network that is trained as number 1, 2, ... where networks are trained apart."""
        return config
