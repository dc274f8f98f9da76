"""The interface of a method of active learning."""

from typing import ClassVar, Literal

from atal_ray.config.plugins import Plugin

Members = Literal["trajectory", "newest"]
"""Who speaks: all snapshots (or networks) of the round's training, or the newest one alone."""


class Method(Plugin):
    """Who is asked how uncertain pixels are, and how they are taken by it.

    `query.score` and `query.strategy` take the place of a method's own, so that each part can be tried alone.
    """

    members: ClassVar[Members] = "newest"
    networks: ClassVar[bool] = False
    """Whether its members are networks that were trained apart (`train.ensemble networks`)."""
    score: ClassVar[str | None] = None
    """Name or module:Class of its score; None where its strategy looks at none."""
    strategy: ClassVar[str] = "top"
    """Name or module:Class of its strategy."""
